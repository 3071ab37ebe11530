// SPDX-License-Identifier: Apache-2.0
// What an administrator does: topics, configurations, offsets, transactions that hang, rights.
import com.fasterxml.jackson.databind.JsonNode;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import org.apache.kafka.clients.admin.AbortTransactionSpec;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.ListOffsetsOptions;
import org.apache.kafka.clients.admin.ListTopicsOptions;
import org.apache.kafka.clients.admin.NewPartitionReassignment;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.ProducerState;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.common.ElectionType;
import org.apache.kafka.common.IsolationLevel;
import org.apache.kafka.common.Node;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.TopicPartitionInfo;
import org.apache.kafka.common.acl.AccessControlEntry;
import org.apache.kafka.common.acl.AccessControlEntryFilter;
import org.apache.kafka.common.acl.AclBinding;
import org.apache.kafka.common.acl.AclBindingFilter;
import org.apache.kafka.common.acl.AclOperation;
import org.apache.kafka.common.acl.AclPermissionType;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.resource.PatternType;
import org.apache.kafka.common.resource.ResourcePattern;
import org.apache.kafka.common.resource.ResourcePatternFilter;
import org.apache.kafka.common.resource.ResourceType;

final class Topics {
    private static final Map<Map<String, Object>, Admin> admins = new HashMap<>();

    private Topics() {
    }

    static void list(Map<String, KafkaDriver.Operation> operations) {
        operations.put("create_topic", Topics::create);
        operations.put("delete_topic", in -> admin(in).deleteTopics(List.of(in.get("topic").asText())).all().get());
        operations.put("add_partitions", in -> admin(in).createPartitions(
            Map.of(in.get("topic").asText(), NewPartitions.increaseTo(in.get("total").asInt()))).all().get());
        operations.put("set_config", Topics::setConfig);
        operations.put("topics", in -> admin(in).listTopics(new ListTopicsOptions().listInternal(true)).names().get());
        operations.put("describe", Topics::describe);
        operations.put("cluster", Topics::cluster);
        operations.put("offsets", Topics::offsets);
        operations.put("delete_records", in -> admin(in).deleteRecords(
            Map.of(partition(in), RecordsToDelete.beforeOffset(in.get("before").asLong()))).all().get());
        operations.put("producers", Topics::producers);
        operations.put("abort_hanging", Topics::abortHanging);
        operations.put("transaction", in -> {
            String id = in.get("transaction").asText();
            return admin(in).describeTransactions(List.of(id)).description(id).get().state().name();
        });
        operations.put("reassign", Topics::reassign);
        operations.put("elect_preferred", in -> {
            admin(in).electLeaders(ElectionType.PREFERRED, Set.of(partition(in))).all().get();
            return null;
        });
        operations.put("allow", Topics::allow);
        operations.put("revoke", Topics::revoke);
        operations.put("rights", Topics::rights);
    }

    static Admin admin(JsonNode in) {
        return admins.computeIfAbsent(KafkaDriver.config(in, "default.api.timeout.ms", "30000",
            "reconnect.backoff.max.ms", "200"), Admin::create);
    }

    static void forget(JsonNode in) {
        admins.entrySet().removeIf(one -> {
            boolean gone = one.getKey().get("bootstrap.servers").equals(in.get("bootstrap").asText());
            if (gone)
                one.getValue().close(java.time.Duration.ZERO);
            return gone;
        });
    }

    static TopicPartition partition(JsonNode in) {
        return new TopicPartition(in.get("topic").asText(), in.get("partition").asInt());
    }

    private static List<Integer> integers(JsonNode list) {
        List<Integer> found = new ArrayList<>();
        list.forEach(one -> found.add(one.asInt()));
        return found;
    }

    private static TopicDescription description(Admin admin, String topic) throws Exception {
        return admin.describeTopics(List.of(topic)).allTopicNames().get().get(topic);
    }

    private static Object create(JsonNode in) throws Exception {
        NewTopic topic = new NewTopic(in.get("topic").asText(), in.get("partitions").asInt(),
            (short) in.get("replication").asInt());
        if (in.hasNonNull("assignment")) {
            Map<Integer, List<Integer>> replicas = new HashMap<>();
            for (JsonNode one : in.get("assignment"))
                replicas.put(replicas.size(), integers(one));
            topic = new NewTopic(in.get("topic").asText(), replicas);
        }
        Map<String, String> configs = new HashMap<>();
        in.get("configs").fields().forEachRemaining(one -> configs.put(one.getKey(), one.getValue().asText()));
        return admin(in).createTopics(List.of(topic.configs(configs))).topicId(topic.name()).get().toString();
    }

    /** Of a topic, a broker ("" for all brokers): null removes the value. */
    private static Object setConfig(JsonNode in) throws Exception {
        ConfigResource resource = new ConfigResource(
            ConfigResource.Type.valueOf(in.get("kind").asText()), in.get("name").asText());
        Collection<AlterConfigOp> changes = new ArrayList<>();
        in.get("configs").fields().forEachRemaining(one -> changes.add(new AlterConfigOp(
            new ConfigEntry(one.getKey(), one.getValue().isNull() ? null : one.getValue().asText()),
            one.getValue().isNull() ? AlterConfigOp.OpType.DELETE : AlterConfigOp.OpType.SET)));
        return admin(in).incrementalAlterConfigs(Map.of(resource, changes)).all().get();
    }

    private static List<Integer> ids(List<Node> nodes) {
        List<Integer> found = new ArrayList<>();
        nodes.forEach(one -> found.add(one.id()));
        return found;
    }

    private static Object describe(JsonNode in) throws Exception {
        String name = in.get("topic").asText();
        TopicDescription topic = description(admin(in), name);
        List<Object> partitions = new ArrayList<>();
        for (TopicPartitionInfo one : topic.partitions())
            partitions.add(Map.of("leader", one.leader() == null ? -1 : one.leader().id(),
                "replicas", ids(one.replicas()), "isr", ids(one.isr())));
        ConfigResource resource = new ConfigResource(ConfigResource.Type.TOPIC, name);
        Map<String, String> configs = new TreeMap<>();
        for (ConfigEntry one : admin(in).describeConfigs(List.of(resource)).all().get().get(resource).entries())
            if (one.source() == ConfigEntry.ConfigSource.DYNAMIC_TOPIC_CONFIG)
                configs.put(one.name(), one.value());
        return Map.of("id", topic.topicId().toString(), "partitions", partitions, "configs", configs);
    }

    private static Object cluster(JsonNode in) throws Exception {
        var cluster = admin(in).describeCluster();
        return Map.of("id", cluster.clusterId().get(), "controller", cluster.controller().get().id(),
            "nodes", ids(new ArrayList<>(cluster.nodes().get())));
    }

    private static Map<TopicPartition, Long> offsetsOf(Admin admin, List<TopicPartition> partitions, OffsetSpec spec,
                                                       IsolationLevel level) throws Exception {
        Map<TopicPartition, OffsetSpec> wanted = new HashMap<>();
        partitions.forEach(one -> wanted.put(one, spec));
        Map<TopicPartition, Long> found = new HashMap<>();
        admin.listOffsets(wanted, new ListOffsetsOptions(level)).all().get()
            .forEach((partition, info) -> found.put(partition, info.offset()));
        return found;
    }

    /** Per partition, in order: the first offset, the stable one, the end. */
    private static Object offsets(JsonNode in) throws Exception {
        List<TopicPartition> partitions = new ArrayList<>();
        for (TopicPartitionInfo one : description(admin(in), in.get("topic").asText()).partitions())
            partitions.add(new TopicPartition(in.get("topic").asText(), one.partition()));
        var first = offsetsOf(admin(in), partitions, OffsetSpec.earliest(), IsolationLevel.READ_UNCOMMITTED);
        var stable = offsetsOf(admin(in), partitions, OffsetSpec.latest(), IsolationLevel.READ_COMMITTED);
        var end = offsetsOf(admin(in), partitions, OffsetSpec.latest(), IsolationLevel.READ_UNCOMMITTED);
        List<Object> found = new ArrayList<>();
        for (TopicPartition one : partitions)
            found.add(List.of(first.get(one), stable.get(one), end.get(one)));
        return found;
    }

    private static List<ProducerState> states(JsonNode in) throws Exception {
        TopicPartition where = partition(in);
        return admin(in).describeProducers(List.of(where)).partitionResult(where).get().activeProducers();
    }

    private static Object producers(JsonNode in) throws Exception {
        List<Object> found = new ArrayList<>();
        for (ProducerState one : states(in)) {
            Map<String, Object> state = new LinkedHashMap<>();
            state.put("producer", one.producerId());
            state.put("epoch", one.producerEpoch());
            state.put("open_at", one.currentTransactionStartOffset().isPresent()
                ? one.currentTransactionStartOffset().getAsLong() : null);
            found.add(state);
        }
        return found;
    }

    /** Aborts the transactions that are open on a partition; the answer is how many. */
    private static Object abortHanging(JsonNode in) throws Exception {
        int count = 0;
        for (ProducerState one : states(in))
            if (one.currentTransactionStartOffset().isPresent()) {
                admin(in).abortTransaction(new AbortTransactionSpec(partition(in), one.producerId(),
                    (short) one.producerEpoch(), one.coordinatorEpoch().orElse(0))).all().get();
                count++;
            }
        return count;
    }

    private static Object reassign(JsonNode in) throws Exception {
        var to = Optional.of(new NewPartitionReassignment(integers(in.get("replicas"))));
        return admin(in).alterPartitionReassignments(Map.of(partition(in), to)).all().get();
    }

    private static Object allow(JsonNode in) throws Exception {
        return admin(in).createAcls(List.of(new AclBinding(
            new ResourcePattern(ResourceType.valueOf(in.get("kind").asText()), in.get("name").asText(),
                PatternType.valueOf(in.get("pattern").asText())),
            new AccessControlEntry(in.get("principal").asText(), in.get("host").asText(),
                AclOperation.valueOf(in.get("operation").asText()),
                AclPermissionType.valueOf(in.get("permission").asText()))))).all().get();
    }

    private static Object revoke(JsonNode in) throws Exception {
        var whose = new AccessControlEntryFilter(in.get("principal").asText(null), null, AclOperation.ANY,
            AclPermissionType.ANY);
        return admin(in).deleteAcls(List.of(new AclBindingFilter(ResourcePatternFilter.ANY, whose))).all().get().size();
    }

    private static Object rights(JsonNode in) throws Exception {
        List<Object> found = new ArrayList<>();
        for (AclBinding one : admin(in).describeAcls(AclBindingFilter.ANY).values().get())
            found.add(List.of(one.entry().principal(), one.entry().operation().name(),
                one.entry().permissionType().name(), one.pattern().resourceType().name(), one.pattern().name(),
                one.pattern().patternType().name(), one.entry().host()));
        return found;
    }
}
