// SPDX-License-Identifier: Apache-2.0
// Records as given, transactions that stay open as long as a test wants, and many made-up records at a wanted speed.
import com.fasterxml.jackson.databind.JsonNode;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.concurrent.Future;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.serialization.ByteArraySerializer;

final class Writing {
    private static final Map<String, KafkaProducer<byte[], byte[]>> transactions = new HashMap<>();
    private static final Map<String, Filler> fillers = new HashMap<>();

    private Writing() {
    }

    static void list(Map<String, KafkaDriver.Operation> operations) {
        operations.put("produce", Writing::produce);
        operations.put("begin", Writing::begin);
        operations.put("end", Writing::end);
        operations.put("fill", Writing::fill);
        operations.put("fill_end", Writing::fillEnd);
    }

    static void forget(JsonNode in) {
        String prefix = in.get("bootstrap").asText() + " ";
        transactions.entrySet().removeIf(one -> {
            if (one.getKey().startsWith(prefix))
                one.getValue().close(Duration.ZERO);
            return one.getKey().startsWith(prefix);
        });
        fillers.entrySet().removeIf(one -> {
            if (one.getKey().startsWith(prefix))
                one.getValue().stop = true;
            return one.getKey().startsWith(prefix);
        });
    }

    /** Batches are as large as the broker takes, and sent when told: records sent together make one, per partition. */
    private static KafkaProducer<byte[], byte[]> producer(JsonNode in, Object... more) {
        Map<String, Object> config = KafkaDriver.config(in, "acks", "all", "linger.ms", "60000", "batch.size", "900000",
            "max.request.size", "100000000", "delivery.timeout.ms", "120000", "buffer.memory", "134217728",
            "reconnect.backoff.max.ms", "200");
        for (int i = 0; i < more.length; i += 2)
            config.put((String) more[i], more[i + 1]);
        return new KafkaProducer<>(config, new ByteArraySerializer(), new ByteArraySerializer());
    }

    private static String transaction(JsonNode in) {
        return in.get("bootstrap").asText() + " " + in.get("transaction").asText();
    }

    private static Object begin(JsonNode in) {
        transactions.computeIfAbsent(transaction(in), name -> {
            KafkaProducer<byte[], byte[]> made = producer(in, "transactional.id", in.get("transaction").asText());
            made.initTransactions();
            return made;
        }).beginTransaction();
        return null;
    }

    private static Object end(JsonNode in) {
        if (in.get("commit").asBoolean())
            transactions.get(transaction(in)).commitTransaction();
        else
            transactions.get(transaction(in)).abortTransaction();
        return null;
    }

    private static ProducerRecord<byte[], byte[]> record(JsonNode in, JsonNode one) throws Exception {
        ProducerRecord<byte[], byte[]> made = new ProducerRecord<>(in.get("topic").asText(),
            one.get("partition").asInt(), one.hasNonNull("timestamp") ? one.get("timestamp").asLong() : null,
            KafkaDriver.bytes(one.get("key")), KafkaDriver.bytes(one.get("value")));
        for (JsonNode header : one.path("headers"))
            made.headers().add(new RecordHeader(header.get(0).asText(), KafkaDriver.bytes(header.get(1))));
        return made;
    }

    /** The answer is the offsets, in the order of the records. */
    private static Object produce(JsonNode in) throws Exception {
        boolean own = !in.hasNonNull("transaction");
        KafkaProducer<byte[], byte[]> producer = own ? producer(in) : transactions.get(transaction(in));
        List<Future<RecordMetadata>> sent = new ArrayList<>();
        List<Long> offsets = new ArrayList<>();
        try {
            for (JsonNode one : in.get("records")) {
                sent.add(producer.send(record(in, one)));
                if (in.get("alone").asBoolean())
                    producer.flush();
            }
            producer.flush();
            for (Future<RecordMetadata> one : sent)
                offsets.add(one.get().offset());
        } finally {
            if (own)
                producer.close();
        }
        return offsets;
    }

    /** Writes made-up records in a thread of its own. */
    private static final class Filler extends Thread {
        private static final byte[] TEXT = ("{\"order\": 4711, \"symbol\": \"LBT\", \"price\": 101.25, "
            + "\"quantity\": 30, \"side\": \"buy\", \"account\": \"a-000123\", \"comment\": \"as before\"} ").getBytes(
                StandardCharsets.US_ASCII);
        final JsonNode in;
        volatile boolean stop;
        long written;
        double seconds;
        volatile Exception problem;

        Filler(JsonNode in) {
            this.in = in;
            setDaemon(true);
        }

        /** Begins with the number of the record, then text that repeats, or noise that depends on seed and number. */
        private byte[] value(byte[] into, long number, long seed) {
            byte[] head = Long.toString(number).getBytes(StandardCharsets.US_ASCII);
            if (in.get("compressible").asBoolean())
                for (int at = 0; at < into.length; at += TEXT.length)
                    System.arraycopy(TEXT, 0, into, at, Math.min(TEXT.length, into.length - at));
            else
                new SplittableRandom(seed * 1_000_003L + number).nextBytes(into);
            System.arraycopy(head, 0, into, 0, Math.min(head.length, into.length));
            return into;
        }

        private void write() throws Exception {
            long count = in.get("count").asLong();
            long keys = in.get("keys").asLong();
            long timestamp = in.get("timestamp").asLong();
            double rate = in.get("rate").asDouble();
            byte[] value = new byte[in.get("size").asInt()];
            long started = System.nanoTime();
            try (KafkaProducer<byte[], byte[]> producer = producer(in, "linger.ms", "5")) {
                int partitions = in.get("partitions").asInt();
                if (partitions == 0)
                    partitions = producer.partitionsFor(in.get("topic").asText()).size();
                for (long i = 0; (count == 0 || i < count) && !stop && problem == null; i++) {
                    double ahead_s = rate > 0 ? i / rate - (System.nanoTime() - started) / 1e9 : 0;
                    if (ahead_s > 0.002)
                        Thread.sleep((long) (ahead_s * 1000));
                    byte[] key = keys == 0 ? null : ("key-" + i % keys).getBytes(StandardCharsets.US_ASCII);
                    producer.send(new ProducerRecord<>(in.get("topic").asText(), (int) (i % partitions),
                        timestamp < 0 ? null : timestamp + i, key, value(value, i, in.get("seed").asLong())),
                        (metadata, failure) -> {
                            if (failure != null)
                                problem = failure;
                        });
                    written = i + 1;
                }
                producer.flush();
            }
            seconds = (System.nanoTime() - started) / 1e9;
        }

        @Override
        public void run() {
            try {
                write();
            } catch (Exception failure) {
                problem = failure;
            }
        }
    }

    private static Object fill(JsonNode in) {
        String name = in.get("bootstrap").asText() + " " + in.get("topic").asText() + " " + System.nanoTime();
        Filler filler = new Filler(in);
        fillers.put(name, filler);
        filler.start();
        return name;
    }

    /** Waits until all are written, or until those under way are when it is to stop. */
    private static Object fillEnd(JsonNode in) throws Exception {
        Filler filler = fillers.remove(in.get("name").asText());
        filler.stop = in.get("stop").asBoolean();
        filler.join();
        if (filler.problem != null)
            throw filler.problem;
        return Map.of("records", filler.written, "seconds", filler.seconds);
    }
}
