// The topology: tasks and status in, assignments and events out, one store behind its record cache, exactly once (EOS v2).

import java.util.Map;
import java.util.Properties;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.RocksDBConfigSetter;
import org.apache.kafka.streams.state.StoreBuilder;
import org.apache.kafka.streams.state.Stores;
import org.rocksdb.BlockBasedTableConfig;
import org.rocksdb.BloomFilter;
import org.rocksdb.Options;

final class Grid {
    static final String STORE = "tasks";

    /** Tasks that the processor has seen ending. It counts before the commit, which is in this peer's favour. */
    static final AtomicLong ENDED = new AtomicLong();

    private Grid() {}

    static KafkaStreams open(Shape shape, String name) {
        StoreBuilder<KeyValueStore<String, byte[]>> store = Stores
            .keyValueStoreBuilder(Stores.persistentKeyValueStore(STORE), Serdes.String(), Serdes.ByteArray())
            // A task's writes within one commit become one record of the changelog, and most reads find it here.
            .withCachingEnabled()
            .withLoggingEnabled(Map.of());
        Topology topology = new Topology()
            .addSource("tasks", new StringDeserializer(), new ByteArrayDeserializer(), name + ".tasks")
            .addSource("status", new StringDeserializer(), new ByteArrayDeserializer(), name + ".status")
            .addProcessor("dispatch", () -> new Dispatch(shape), "tasks", "status")
            .addStateStore(store, "dispatch")
            .addSink(Dispatch.ASSIGN, name + ".assign", new StringSerializer(), new ByteArraySerializer(), "dispatch")
            .addSink(Dispatch.EVENTS, name + ".events", new StringSerializer(), new ByteArraySerializer(), "dispatch");
        KafkaStreams streams = new KafkaStreams(topology, settings(shape, name));
        streams.setUncaughtExceptionHandler(failure -> {
            failure.printStackTrace();
            return StreamThreadExceptionResponse.SHUTDOWN_CLIENT;
        });
        return streams;
    }

    private static Properties settings(Shape shape, String name) {
        Properties settings = new Properties();
        settings.put("application.id", name);
        settings.put("bootstrap.servers", shape.bootstrap());
        settings.put("state.dir", shape.data().resolve("state").toString());
        settings.put("processing.guarantee", "exactly_once_v2");
        settings.put("commit.interval.ms", shape.commitIntervalMs());
        settings.put("replication.factor", 1);
        settings.put("num.stream.threads", 1);
        settings.put("statestore.cache.max.bytes", 256L << 20);
        settings.put("rocksdb.config.setter", RocksSettings.class);
        // A pool's records come in thousands: fewer, larger fetches and batches than by default.
        settings.put("buffered.records.per.partition", 20_000);
        settings.put("main.consumer.max.poll.records", 10_000);
        settings.put("main.consumer.fetch.max.bytes", 32 << 20);
        settings.put("main.consumer.max.partition.fetch.bytes", 8 << 20);
        settings.put("main.consumer.auto.offset.reset", "earliest");
        settings.put("producer.linger.ms", 20);
        settings.put("producer.batch.size", 512 << 10);
        settings.put("producer.buffer.memory", 128L << 20);
        settings.put("producer.compression.type", "lz4");
        return settings;
    }

    /** A submit asks for an id that isn't there: with a bloom filter that costs no block. */
    public static final class RocksSettings implements RocksDBConfigSetter {
        private final BloomFilter filter = new BloomFilter(10);

        @Override
        public void setConfig(String storeName, Options options, Map<String, Object> settings) {
            BlockBasedTableConfig table = (BlockBasedTableConfig) options.tableFormatConfig();
            table.setFilterPolicy(filter);
            table.setCacheIndexAndFilterBlocks(false);
            options.setTableFormatConfig(table);
            options.setWriteBufferSize(64 << 20);
        }

        @Override
        public void close(String storeName, Options options) {
            filter.close();
        }
    }
}
