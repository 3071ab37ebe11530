// SPDX-License-Identifier: Apache-2.0
// A Kafka client for the tests: one request a line on standard input, {"op": NAME, "bootstrap": ADDRESSES,
// "config": {client properties}, ...}, one answer a line on standard output, {"ok": VALUE} or {"error": TEXT}.
// Bytes are base64, null is null. Ends with its input. The operations stand in Topics, Writing, Reading and Groups.
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.BufferedOutputStream;
import java.io.BufferedReader;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.io.PrintStream;
import java.lang.reflect.InvocationTargetException;
import java.nio.charset.StandardCharsets;
import java.util.Collections;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ExecutionException;
import org.apache.kafka.common.utils.Exit;

public final class KafkaDriver {
    interface Operation {
        Object run(JsonNode in) throws Exception;
    }

    private static final class Exited extends Error {
        final int status;

        Exited(int status) {
            this.status = status;
        }
    }

    /** What tools print goes where the running operation says: Scala keeps the first System.out that it sees. */
    private static final class Switch extends OutputStream {
        OutputStream to = System.err;

        @Override
        public void write(int one) throws IOException {
            to.write(one);
        }

        @Override
        public void write(byte[] data, int from, int count) throws IOException {
            to.write(data, from, count);
        }

        @Override
        public void flush() throws IOException {
            to.flush();
        }
    }

    private static final Switch printed = new Switch();

    private KafkaDriver() {
    }

    /** The client properties of a request over these, which give way to them. */
    static Map<String, Object> config(JsonNode in, Object... defaults) {
        Map<String, Object> config = new HashMap<>();
        config.put("bootstrap.servers", in.get("bootstrap").asText());
        for (int i = 0; i < defaults.length; i += 2)
            config.put((String) defaults[i], defaults[i + 1]);
        in.path("config").fields().forEachRemaining(one -> config.put(one.getKey(), one.getValue().asText()));
        return config;
    }

    static byte[] bytes(JsonNode value) throws IOException {
        return value == null || value.isNull() ? null : value.binaryValue();
    }

    /** Runs main of a class: what it prints goes to a file. The answer is the status that it exited with. */
    private static Object tool(JsonNode in) throws Exception {
        String[] words = new String[in.get("args").size()];
        for (int i = 0; i < words.length; i++)
            words[i] = in.get("args").get(i).asText();
        PrintStream errors = System.err;
        try (OutputStream out = new BufferedOutputStream(new FileOutputStream(in.get("output").asText()))) {
            printed.to = out;
            System.setErr(System.out);
            Class.forName(in.get("class").asText()).getMethod("main", String[].class).invoke(null, (Object) words);
        } catch (InvocationTargetException problem) {
            if (problem.getCause() instanceof Exited)
                return ((Exited) problem.getCause()).status;
            throw problem;
        } finally {
            System.setErr(errors);
            printed.to = errors;
        }
        return 0;
    }

    private static String text(Throwable problem) {
        while ((problem instanceof ExecutionException || problem instanceof InvocationTargetException
                || problem instanceof CompletionException) && problem.getCause() != null)
            problem = problem.getCause();
        problem.printStackTrace();
        return problem.getClass().getSimpleName() + ": " + problem.getMessage();
    }

    public static void main(String[] arguments) throws Exception {
        PrintStream answers = System.out;
        System.setOut(new PrintStream(printed));
        Exit.setExitProcedure((status, message) -> {
            throw new Exited(status);
        });
        Map<String, Operation> operations = new HashMap<>();
        operations.put("tool", KafkaDriver::tool);
        operations.put("forget", in -> {
            Topics.forget(in);
            Writing.forget(in);
            Groups.forget(in);
            return null;
        });
        Topics.list(operations);
        Writing.list(operations);
        Reading.list(operations);
        Groups.list(operations);

        ObjectMapper mapper = new ObjectMapper();
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            Map<String, Object> answer;
            try {
                JsonNode in = mapper.readTree(line);
                answer = Collections.singletonMap("ok", operations.get(in.get("op").asText()).run(in));
            } catch (Throwable problem) {
                answer = Collections.singletonMap("error", text(problem));
            }
            answers.write((mapper.writeValueAsString(answer) + "\n").getBytes(StandardCharsets.UTF_8));
            answers.flush();
        }
        // Clients that are still open, transactions among them, are left as a killed program leaves them.
        Runtime.getRuntime().halt(0);
    }
}
