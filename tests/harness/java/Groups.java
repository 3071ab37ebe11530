// SPDX-License-Identifier: Apache-2.0
// Consumer groups: reading as a member, staying a member, and what the broker knows of a group.
import com.fasterxml.jackson.databind.JsonNode;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.apache.kafka.clients.admin.ConsumerGroupDescription;
import org.apache.kafka.clients.admin.ConsumerGroupListing;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.TopicPartition;

final class Groups {
    private static final Map<String, Member> members = new HashMap<>();

    private Groups() {
    }

    static void list(Map<String, KafkaDriver.Operation> operations) {
        operations.put("group_read", Groups::read);
        operations.put("group_join", Groups::join);
        operations.put("group_leave", in -> {
            members.remove(in.get("member").asText()).leave();
            return null;
        });
        operations.put("groups", Groups::names);
        operations.put("group", Groups::describe);
        operations.put("group_offsets", Groups::offsets);
        operations.put("group_commit", Groups::commit);
        operations.put("group_delete",
            in -> Topics.admin(in).deleteConsumerGroups(List.of(in.get("group").asText())).all().get());
    }

    static void forget(JsonNode in) {
        members.entrySet().removeIf(one -> {
            if (one.getKey().startsWith(in.get("bootstrap").asText() + " "))
                one.getValue().stop = true;
            return one.getValue().stop;
        });
    }

    private static List<String> topics(JsonNode in) {
        List<String> found = new ArrayList<>();
        in.get("topics").forEach(one -> found.add(one.asText()));
        return found;
    }

    private static KafkaConsumer<byte[], byte[]> consumer(JsonNode in) {
        return Reading.consumer(in, "group.id", in.get("group").asText(), "auto.offset.reset", "earliest",
            "isolation.level", in.get("committed").asBoolean() ? "read_committed" : "read_uncommitted");
    }

    /** As a member: so many records, fewer only at the deadline, which is an error; then a commit of just these. */
    private static Object read(JsonNode in) throws Exception {
        long deadline = System.nanoTime() + (long) (in.get("deadline_s").asDouble() * 1e9);
        int count = in.get("count").asInt();
        List<Object> found = new ArrayList<>();
        Map<TopicPartition, OffsetAndMetadata> next = new HashMap<>();
        try (KafkaConsumer<byte[], byte[]> consumer = consumer(in)) {
            consumer.subscribe(topics(in));
            while (found.size() < count) {
                if (System.nanoTime() > deadline)
                    throw new TimeoutException("read " + found.size() + " of " + count + " records");
                for (ConsumerRecord<byte[], byte[]> one : consumer.poll(Duration.ofMillis(100)))
                    if (found.size() < count) {
                        found.add(Reading.described(one));
                        next.put(new TopicPartition(one.topic(), one.partition()),
                            new OffsetAndMetadata(one.offset() + 1));
                    }
            }
            consumer.commitSync(next);
        }
        return found;
    }

    /** A member that holds its partitions and reads nothing. */
    private static final class Member extends Thread implements ConsumerRebalanceListener {
        final JsonNode in;
        final CountDownLatch assigned = new CountDownLatch(1);
        final KafkaConsumer<byte[], byte[]> consumer;
        volatile boolean stop;

        Member(JsonNode in) {
            this.in = in;
            consumer = Groups.consumer(in);
            setDaemon(true);
        }

        @Override
        public void onPartitionsAssigned(Collection<TopicPartition> partitions) {
            consumer.pause(partitions);
            assigned.countDown();
        }

        @Override
        public void onPartitionsRevoked(Collection<TopicPartition> partitions) {
        }

        @Override
        public void run() {
            consumer.subscribe(topics(in), this);
            while (!stop)
                consumer.poll(Duration.ofMillis(50));
            consumer.close();
        }

        void leave() throws InterruptedException {
            stop = true;
            join();
        }
    }

    private static Object join(JsonNode in) throws Exception {
        String name = in.get("bootstrap").asText() + " " + System.nanoTime();
        Member member = new Member(in);
        members.put(name, member);
        member.start();
        if (!member.assigned.await(30, TimeUnit.SECONDS))
            throw new TimeoutException("join group " + in.get("group").asText());
        return name;
    }

    private static Object names(JsonNode in) throws Exception {
        List<String> found = new ArrayList<>();
        for (ConsumerGroupListing one : Topics.admin(in).listConsumerGroups().all().get())
            found.add(one.groupId());
        return found;
    }

    private static Object describe(JsonNode in) throws Exception {
        String name = in.get("group").asText();
        ConsumerGroupDescription group =
            Topics.admin(in).describeConsumerGroups(List.of(name)).describedGroups().get(name).get();
        return Map.of("state", group.state().toString(), "members", group.members().size());
    }

    private static Object offsets(JsonNode in) throws Exception {
        Map<String, Map<String, Long>> found = new TreeMap<>();
        String group = in.get("group").asText();
        Topics.admin(in).listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get().forEach(
            (partition, offset) -> found.computeIfAbsent(partition.topic(), topic -> new TreeMap<>())
                .put(Integer.toString(partition.partition()), offset.offset()));
        return found;
    }

    private static Object commit(JsonNode in) throws Exception {
        Map<TopicPartition, OffsetAndMetadata> offsets = new HashMap<>();
        in.get("offsets").fields().forEachRemaining(topic -> topic.getValue().fields().forEachRemaining(
            one -> offsets.put(new TopicPartition(topic.getKey(), Integer.parseInt(one.getKey())),
                new OffsetAndMetadata(one.getValue().asLong()))));
        return Topics.admin(in).alterConsumerGroupOffsets(in.get("group").asText(), offsets).all().get();
    }
}
