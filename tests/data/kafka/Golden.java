// SPDX-License-Identifier: Apache-2.0
// What make.py runs in Kafka's own classes: `write BOOTSTRAP` fills the topics, and `dump SEGMENT`
// says what Kafka itself reads in a segment, in the words of kafka_records_test.c.
import java.io.File;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.zip.CRC32;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.record.FileLogInputStream;
import org.apache.kafka.common.record.FileRecords;
import org.apache.kafka.common.record.Record;
import org.apache.kafka.common.record.RecordBatch;
import org.apache.kafka.common.record.TimestampType;

public class Golden {
    static final long LONG_AGO = 1_000_000_000_000L, DAYS_30 = 30L * 24 * 3600 * 1000;

    static KafkaProducer<byte[], byte[]> producer(String bootstrap, String codec, String transactional) {
        Properties of = new Properties();
        of.put("bootstrap.servers", bootstrap);
        of.put("key.serializer", "org.apache.kafka.common.serialization.ByteArraySerializer");
        of.put("value.serializer", "org.apache.kafka.common.serialization.ByteArraySerializer");
        of.put("compression.type", codec);
        of.put("batch.size", "200000");
        of.put("linger.ms", "10000");
        if (transactional != null)
            of.put("transactional.id", transactional);
        return new KafkaProducer<>(of);
    }

    static byte[] b(String text) {
        return text == null ? null : text.getBytes();
    }

    static ProducerRecord<byte[], byte[]> record(String topic, Long time, String key, String value, Header... headers) {
        return new ProducerRecord<>(topic, 0, time, b(key), b(value), Arrays.asList(headers));
    }

    static void variety(KafkaProducer<byte[], byte[]> to, String topic) {
        byte[] large = new byte[70000];

        for (int i = 0; i < large.length; i++)
            large[i] = (byte) (i / 100);
        to.send(record(topic, LONG_AGO, "key", "value"));
        to.send(record(topic, LONG_AGO + DAYS_30, "", ""));
        to.send(record(topic, LONG_AGO - DAYS_30, null, null));
        to.send(record(topic, 0L, "h", "twice", new RecordHeader("a", b("1")), new RecordHeader("b", null),
                       new RecordHeader("a", b("")), new RecordHeader("", b("2"))));
        to.send(new ProducerRecord<>(topic, 0, LONG_AGO, b("large"), large));
        for (int i = 0; i < 20; i++)
            to.send(record(topic, LONG_AGO + i, "k" + i % 3, "the value number " + i));
        to.flush();
    }

    static void write(String bootstrap) throws Exception {
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", bootstrap))) {
            List<NewTopic> topics = new ArrayList<>();

            for (String codec : List.of("none", "gzip", "snappy", "lz4", "zstd"))
                topics.add(new NewTopic("golden-" + codec, 1, (short) 1));
            topics.add(new NewTopic("golden-rdkafka", 1, (short) 1));
            topics.add(new NewTopic("golden-transactions", 1, (short) 1));
            topics.add(new NewTopic("golden-append", 1, (short) 1).configs(Map.of("message.timestamp.type", "LogAppendTime")));
            admin.createTopics(topics).all().get();
        }
        for (String codec : List.of("none", "gzip", "snappy", "lz4", "zstd"))
            try (var to = producer(bootstrap, codec, null)) {
                variety(to, "golden-" + codec);
                if (!codec.equals("none")) // large enough
                    variety(to, "golden-" + codec);
            }
        try (var to = producer(bootstrap, "gzip", null)) {
            for (int i = 0; i < 5; i++)
                to.send(record("golden-append", LONG_AGO + i, "k", "v" + i));
        }
        try (var to = producer(bootstrap, "lz4", "golden")) {
            to.initTransactions();
            for (int i = 0; i < 4; i++) {
                to.beginTransaction();
                to.send(record("golden-transactions", null, "k" + i, "v")); // an old time would roll the segment
                if (i % 2 == 0)
                    to.commitTransaction();
                else {
                    to.flush();
                    to.abortTransaction();
                }
            }
        }
    }

    static String show(byte[] bytes) {
        if (bytes == null)
            return "-";
        if (bytes.length > 64) {
            CRC32 sum = new CRC32();

            sum.update(bytes);
            return String.format("%d/%08x", bytes.length, sum.getValue());
        }
        StringBuilder hex = new StringBuilder("'");

        for (byte one : bytes)
            hex.append(String.format("%02x", one));
        return hex.append("'").toString();
    }

    static byte[] bytes(java.nio.ByteBuffer from) {
        return from == null ? null : org.apache.kafka.common.utils.Utils.toArray(from);
    }

    static void dump(String path) throws Exception {
        try (FileRecords records = FileRecords.open(new File(path), false)) {
            for (FileLogInputStream.FileChannelRecordBatch batch : records.batches()) {
                System.out.printf("batch %d-%d records %d codec %d append %d transactional %d control %d "
                                      + "producer %d/%d/%d latest %d bytes %d%n",
                                  batch.baseOffset(), batch.lastOffset(), batch.countOrNull(), batch.compressionType().id,
                                  batch.timestampType() == TimestampType.LOG_APPEND_TIME ? 1 : 0,
                                  batch.isTransactional() ? 1 : 0, batch.isControlBatch() ? 1 : 0, batch.producerId(),
                                  batch.producerEpoch(), batch.baseSequence(), batch.maxTimestamp(), batch.sizeInBytes());
                for (Record record : (Iterable<Record>) batch) {
                    System.out.printf("record %d %d %s %s", record.offset(), record.timestamp(), show(bytes(record.key())),
                                      show(bytes(record.value())));
                    for (Header header : record.headers())
                        System.out.printf(" %s=%s", show(header.key().getBytes()), show(header.value()));
                    System.out.println();
                }
            }
        }
    }

    public static void main(String[] args) throws Exception {
        if (args[0].equals("write"))
            write(args[1]);
        else
            dump(args[1]);
    }
}
