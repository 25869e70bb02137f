// Sends tasks as fast as the broker takes them: the same records that `yardmaster bench` sends, with 200 bytes of payload.

import java.nio.charset.StandardCharsets;
import java.util.Properties;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.serialization.StringSerializer;

final class Submitter implements AutoCloseable {
    private final KafkaProducer<String, byte[]> producer;
    private final String topic;

    Submitter(Shape shape, String name) {
        producer = producer(shape);
        topic = name + ".tasks";
    }

    static KafkaProducer<String, byte[]> producer(Shape shape) {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", shape.bootstrap());
        settings.put("linger.ms", 5);
        settings.put("batch.size", 256 << 10);
        settings.put("buffer.memory", 256L << 20);
        settings.put("compression.type", "lz4");
        return new KafkaProducer<>(settings, new StringSerializer(), new ByteArraySerializer());
    }

    void submit(long from, long to) {
        for (long number = from; number < to; number++) {
            String id = "t-" + number;
            String json = "{\"v\":1,\"type\":\"submit\",\"task\":{\"id\":\"" + id + "\",\"pool\":\"bench\",\"command\":[\"true\"],"
                + "\"payload\":\"" + "0".repeat(200 - id.length()) + id + "\"}}";
            producer.send(new ProducerRecord<>(topic, "bench", json.getBytes(StandardCharsets.UTF_8)));
        }
        producer.flush();
    }

    @Override
    public void close() {
        producer.close();
    }
}
