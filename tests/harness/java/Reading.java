// SPDX-License-Identifier: Apache-2.0
// Partitions from one offset to another, as records or as a digest of them.
import com.fasterxml.jackson.databind.JsonNode;
import java.io.BufferedOutputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.security.DigestOutputStream;
import java.security.MessageDigest;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeoutException;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

final class Reading {
    private Reading() {
    }

    static void list(Map<String, KafkaDriver.Operation> operations) {
        operations.put("read", Reading::read);
    }

    static KafkaConsumer<byte[], byte[]> consumer(JsonNode in, Object... defaults) {
        Map<String, Object> config = KafkaDriver.config(in, defaults);
        config.putIfAbsent("enable.auto.commit", "false");
        config.putIfAbsent("max.partition.fetch.bytes", "8388608");
        config.putIfAbsent("fetch.max.wait.ms", "100");
        config.putIfAbsent("reconnect.backoff.max.ms", "200");
        return new KafkaConsumer<>(config, new ByteArrayDeserializer(), new ByteArrayDeserializer());
    }

    /** One partition as it is read. A field of variable length follows its length; null has the length -1. */
    private static final class Span {
        final MessageDigest digest;
        final DataOutputStream digested;
        final List<Object> records;
        final boolean withOffsets;
        final long end;
        long count;
        long bytes;
        long first = -1;
        long last = -1;

        Span(JsonNode in, long end) throws Exception {
            this.end = end;
            withOffsets = in.get("digest_offsets").asBoolean();
            digest = MessageDigest.getInstance("SHA-256");
            digested = new DataOutputStream(new BufferedOutputStream(
                new DigestOutputStream(OutputStream.nullOutputStream(), digest), 1 << 16));
            records = in.get("digest").asBoolean() ? null : new ArrayList<>();
        }

        private void field(byte[] value) throws IOException {
            digested.writeInt(value == null ? -1 : value.length);
            if (value != null) {
                digested.write(value);
                bytes += value.length;
            }
        }

        void take(ConsumerRecord<byte[], byte[]> one) throws IOException {
            first = count == 0 ? one.offset() : first;
            last = one.offset();
            count++;
            if (records != null) {
                records.add(described(one));
                return;
            }
            if (withOffsets)
                digested.writeLong(one.offset());
            digested.writeLong(one.timestamp());
            field(one.key());
            field(one.value());
            Header[] headers = one.headers().toArray();
            digested.writeInt(headers.length);
            for (Header header : headers) {
                field(header.key().getBytes(StandardCharsets.UTF_8));
                field(header.value());
            }
        }

        Object answer() throws IOException {
            digested.flush();
            return records != null ? records : Map.of("records", count, "bytes", bytes, "first", first, "last", last,
                "sha256", HexFormat.of().formatHex(digest.digest()));
        }
    }

    static Object described(ConsumerRecord<byte[], byte[]> one) {
        Map<String, Object> found = new LinkedHashMap<>();
        found.put("partition", one.partition());
        found.put("offset", one.offset());
        found.put("timestamp", one.timestamp());
        found.put("timestamp_type", one.timestampType().toString());
        found.put("key", one.key());
        found.put("value", one.value());
        List<Object> headers = new ArrayList<>();
        for (Header header : one.headers()) {
            List<Object> pair = new ArrayList<>();
            pair.add(header.key());
            pair.add(header.value());
            headers.add(pair);
        }
        found.put("headers", headers);
        return found;
    }

    private static Map<TopicPartition, Span> spans(JsonNode in, KafkaConsumer<byte[], byte[]> consumer)
        throws Exception {
        Map<TopicPartition, Span> spans = new HashMap<>();
        List<TopicPartition> partitions = new ArrayList<>();
        if (in.hasNonNull("partition"))
            partitions.add(Topics.partition(in));
        else
            consumer.partitionsFor(in.get("topic").asText()).forEach(
                one -> partitions.add(new TopicPartition(one.topic(), one.partition())));
        for (Map.Entry<TopicPartition, Long> one : consumer.endOffsets(partitions).entrySet())
            spans.put(one.getKey(), new Span(in, in.hasNonNull("to") ? in.get("to").asLong() : one.getValue()));
        return spans;
    }

    private static void follow(KafkaConsumer<byte[], byte[]> consumer, Map<TopicPartition, Span> spans, long deadline)
        throws Exception {
        List<TopicPartition> open = new ArrayList<>(spans.keySet());
        while (true) {
            // The position passes markers and compacted tails: a record just before the end may never come.
            for (TopicPartition one : List.copyOf(open))
                if (consumer.position(one) >= spans.get(one).end) {
                    consumer.pause(List.of(one));
                    open.remove(one);
                }
            if (open.isEmpty())
                return;
            if (System.nanoTime() > deadline)
                throw new TimeoutException("read " + open + " to the end");
            ConsumerRecords<byte[], byte[]> records = consumer.poll(Duration.ofMillis(100));
            for (TopicPartition one : records.partitions())
                for (ConsumerRecord<byte[], byte[]> record : records.records(one))
                    if (record.offset() < spans.get(one).end)
                        spans.get(one).take(record);
        }
    }

    /** One partition, or all when none is named, each to its end as the isolation sees it when no other is named. */
    private static Object read(JsonNode in) throws Exception {
        long deadline = System.nanoTime() + (long) (in.get("deadline_s").asDouble() * 1e9);
        Map<String, Object> answer = new HashMap<>();
        try (KafkaConsumer<byte[], byte[]> consumer = consumer(in, "auto.offset.reset", "none", "isolation.level",
                in.get("committed").asBoolean() ? "read_committed" : "read_uncommitted")) {
            Map<TopicPartition, Span> spans = spans(in, consumer);
            consumer.assign(spans.keySet());
            if (in.hasNonNull("from"))
                spans.keySet().forEach(one -> consumer.seek(one, in.get("from").asLong()));
            else
                consumer.seekToBeginning(spans.keySet());
            follow(consumer, spans, deadline);
            for (Map.Entry<TopicPartition, Span> one : spans.entrySet())
                answer.put(Integer.toString(one.getKey().partition()), one.getValue().answer());
        }
        return answer;
    }
}
