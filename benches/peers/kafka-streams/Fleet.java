// Simulated workers on one thread: they read what is committed and, in whole lives, report each attempt as started and completed.

import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.List;
import java.util.Properties;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.StringDeserializer;

final class Fleet {
    private final AtomicLong seen = new AtomicLong();
    private final Shape shape;
    private final String name;
    private final Thread thread;
    private volatile boolean isStopping;
    private volatile RuntimeException failure;

    Fleet(Shape shape, String name) {
        this.shape = shape;
        this.name = name;
        thread = new Thread(this::work, "fleet");
        thread.setDaemon(true);
    }

    void start() {
        thread.start();
    }

    void stop() {
        isStopping = true;
        try {
            thread.join(5_000);
        } catch (InterruptedException interrupted) {
            Thread.currentThread().interrupt();
        }
    }

    /** Assignments that were read. */
    long seen() {
        return seen.get();
    }

    /** Fails when the thread has failed. */
    void check() {
        if (failure != null) {
            throw failure;
        }
    }

    private void work() {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", shape.bootstrap());
        settings.put("isolation.level", "read_committed");
        settings.put("enable.auto.commit", false);
        settings.put("max.poll.records", 10_000);
        settings.put("max.partition.fetch.bytes", 8 << 20);
        try (KafkaConsumer<String, byte[]> consumer =
                new KafkaConsumer<>(settings, new StringDeserializer(), new ByteArrayDeserializer());
            KafkaProducer<String, byte[]> producer = Submitter.producer(shape)) {
            List<TopicPartition> partitions = consumer.partitionsFor(name + ".assign").stream()
                .map(one -> new TopicPartition(one.topic(), one.partition())).toList();
            consumer.assign(partitions);
            consumer.seekToBeginning(partitions);
            while (!isStopping) {
                for (ConsumerRecord<String, byte[]> record : consumer.poll(Duration.ofMillis(20))) {
                    if (shape.isWholeLife()) {
                        report(producer, Message.read(record.value()));
                    }
                    seen.incrementAndGet();
                }
            }
        } catch (RuntimeException failed) {
            failure = failed;
        }
    }

    private void report(KafkaProducer<String, byte[]> producer, Message assigned) {
        String attempt = "\"pool\":\"bench\",\"worker\":\"" + assigned.worker + "\",\"incarnation\":\"" + assigned.worker
            + ".01JD7Z00000000000000000000\",\"task\":\"" + assigned.task + "\",\"attempt\":" + assigned.attempt + ",\"token\":\""
            + assigned.token + "\"";
        send(producer, "{\"v\":1,\"type\":\"started\"," + attempt + "}");
        send(producer, "{\"v\":1,\"type\":\"completed\"," + attempt + ",\"exit_code\":0}");
    }

    private void send(KafkaProducer<String, byte[]> producer, String json) {
        byte[] value = json.getBytes(StandardCharsets.UTF_8);
        producer.send(new ProducerRecord<>(name + ".status", "bench", value), (sent, failed) -> {
            if (failed != null) {
                failure = new IllegalStateException("a report was not taken", failed);
            }
        });
    }
}
