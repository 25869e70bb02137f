// The grid as an expert would write it in Kafka Streams: runs it once, prints one line of JSON, and leaves nothing behind.
//
//   java -cp ... Peer --bootstrap HOST:PORT --tasks N --data DIR [--work lives|dispatch] [--commit-interval-ms MS]
//                     [--workers N] [--follow-stdin]
//
// `lives` goes from submit through assigned and started to completed, with simulated workers that answer each assignment;
// `dispatch` ends when a read_committed worker has the assignment.

import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.function.LongSupplier;
import java.util.stream.Collectors;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.common.utils.AppInfoParser;
import org.apache.kafka.streams.KafkaStreams;

public final class Peer {
    /** Assignments of all workers share these: each further partition makes a transaction slower. */
    private static final int ASSIGN_PARTITIONS = 8;
    private static final int EVENT_PARTITIONS = 1;
    private static final Duration PATIENCE = Duration.ofMinutes(5);

    private Peer() {}

    public static void main(String[] arguments) throws Exception {
        Map<String, String> options = options(arguments);
        if (options.containsKey("follow-stdin")) {
            endWithStdin();
        }
        Shape shape = new Shape(
            required(options, "bootstrap"),
            Long.parseLong(required(options, "tasks")),
            Integer.parseInt(options.getOrDefault("workers", "64")),
            options.getOrDefault("work", "lives"),
            Integer.parseInt(options.getOrDefault("commit-interval-ms", "100")),
            Path.of(required(options, "data")));
        if (!Set.of("lives", "dispatch").contains(shape.work())) {
            throw new IllegalArgumentException("--work is lives or dispatch, not " + shape.work());
        }
        try {
            System.out.println(run(shape));
        } catch (Exception failure) {
            failure.printStackTrace();
            System.exit(1);
        }
        System.exit(0);
    }

    private static String run(Shape shape) throws Exception {
        String name = "peer-" + Long.toString(System.currentTimeMillis(), 36);
        Files.createDirectories(shape.data());
        createTopics(shape, name);
        KafkaStreams streams = Grid.open(shape, name);
        Fleet fleet = new Fleet(shape, name);
        // Also when it is ended from outside: neither topics nor state stay behind.
        Runtime.getRuntime().addShutdownHook(new Thread(() -> cleanUp(shape, name, streams, fleet)));
        streams.start();
        fleet.start();
        LongSupplier done = shape.work().equals("lives") ? Grid.ENDED::get : fleet::seen;
        // Half as many before the clock starts: a grid runs for days, so the JVM's compiler has long done its work.
        long warm = Math.max(1, shape.tasks() / 2);
        Submitter submitter = new Submitter(shape, name);
        submitter.submit(0, warm);
        await(done, warm, streams, fleet);
        long cpuBefore = cpuMillis();
        long began = System.nanoTime();
        submitter.submit(warm, warm + shape.tasks());
        await(done, warm + shape.tasks(), streams, fleet);
        double seconds = (System.nanoTime() - began) / 1e9;
        submitter.close();
        return String.format(
            Locale.ROOT,
            "{\"peer\":\"kafka-streams\",\"version\":\"%s\",\"work\":\"%s\",\"tasks\":%d,\"seconds\":%.3f,\"tasks_per_s\":%.1f,"
                + "\"workers\":%d,\"commit_interval_ms\":%d,\"warm_up_tasks\":%d,\"cpu_us_per_task\":%.1f}",
            AppInfoParser.getVersion(), shape.work(), shape.tasks(), seconds, shape.tasks() / seconds, shape.workers(),
            shape.commitIntervalMs(), warm, (cpuMillis() - cpuBefore) * 1000.0 / shape.tasks());
    }

    private static void await(LongSupplier done, long wanted, KafkaStreams streams, Fleet fleet) throws Exception {
        long deadline = System.nanoTime() + PATIENCE.toNanos();
        while (done.getAsLong() < wanted) {
            if (streams.state() == KafkaStreams.State.ERROR) {
                throw new IllegalStateException("the streams application failed; its exception is above");
            }
            fleet.check();
            if (System.nanoTime() > deadline) {
                throw new IllegalStateException(done.getAsLong() + " of " + wanted + " tasks were done in time");
            }
            Thread.sleep(1);
        }
    }

    private static void createTopics(Shape shape, String name) throws Exception {
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", shape.bootstrap()))) {
            admin.createTopics(List.of(
                new NewTopic(name + ".tasks", 1, (short) 1),
                new NewTopic(name + ".status", 1, (short) 1),
                new NewTopic(name + ".assign", ASSIGN_PARTITIONS, (short) 1),
                new NewTopic(name + ".events", EVENT_PARTITIONS, (short) 1))).all().get();
        }
    }

    private static void cleanUp(Shape shape, String name, KafkaStreams streams, Fleet fleet) {
        fleet.stop();
        streams.close(Duration.ofSeconds(10));
        streams.cleanUp();
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", shape.bootstrap()))) {
            Set<String> ours = admin.listTopics().names().get().stream()
                .filter(topic -> topic.startsWith(name)).collect(Collectors.toSet());
            admin.deleteTopics(ours).all().get();
        } catch (Exception failure) {
            System.err.println("the topics of " + name + " were not deleted: " + failure);
        }
    }

    private static long cpuMillis() {
        return ProcessHandle.current().info().totalCpuDuration().orElse(Duration.ZERO).toMillis();
    }

    /** Whoever started this holds its stdin open; when it is gone, nobody waits for a result. */
    private static void endWithStdin() {
        Thread watcher = new Thread(() -> {
            try {
                while (System.in.read() >= 0) {}
            } catch (java.io.IOException gone) {
                // As good as its end.
            }
            System.exit(1);
        });
        watcher.setDaemon(true);
        watcher.start();
    }

    private static Map<String, String> options(String[] arguments) {
        Map<String, String> options = new HashMap<>();
        for (int at = 0; at < arguments.length; at++) {
            String key = arguments[at].replaceFirst("^--", "");
            if (key.equals("follow-stdin")) {
                options.put(key, "");
            } else if (at + 1 < arguments.length) {
                options.put(key, arguments[++at]);
            } else {
                throw new IllegalArgumentException("--" + key + " needs a value");
            }
        }
        return options;
    }

    private static String required(Map<String, String> options, String key) {
        String value = options.get(key);
        if (value == null) {
            throw new IllegalArgumentException("--" + key + " is missing");
        }
        return value;
    }
}
