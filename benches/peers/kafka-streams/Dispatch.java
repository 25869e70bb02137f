// What is decided: who gets which task, and what each report means.
//
// The ready order, the open attempts and the free slots are kept in memory and rebuilt from the store when the task opens, so
// nothing is ever looked for in RocksDB: ids of new tasks apart. What this peer does not do at all is in its favour: heartbeats,
// leases, retries, cancels, jobs, counts, windows and queries.

import java.nio.charset.StandardCharsets;
import java.util.ArrayDeque;
import java.util.HashMap;
import java.util.Map;
import java.util.PriorityQueue;
import org.apache.kafka.streams.KeyValue;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueIterator;
import org.apache.kafka.streams.state.KeyValueStore;

final class Dispatch implements Processor<String, byte[], String, byte[]> {
    static final String ASSIGN = "assign";
    static final String EVENTS = "events";

    private final boolean isWholeLife;
    private final int workers;
    private final Map<String, Task> open = new HashMap<>();
    private final PriorityQueue<Task> ready = new PriorityQueue<>((one, other) -> one.priority == other.priority
        ? Long.compare(one.sequence, other.sequence) : Integer.compare(other.priority, one.priority));
    /** A worker's number once per free slot. */
    private final ArrayDeque<Integer> free = new ArrayDeque<>();
    private ProcessorContext<String, byte[]> context;
    private KeyValueStore<String, byte[]> tasks;
    private long sequence;

    Dispatch(Shape shape) {
        isWholeLife = shape.isWholeLife();
        workers = shape.workers();
    }

    @Override
    public void init(ProcessorContext<String, byte[]> context) {
        this.context = context;
        tasks = context.getStateStore(Grid.STORE);
        for (int slot = 0; slot < Shape.SLOTS; slot++) {
            for (int worker = 0; worker < workers; worker++) {
                free.add(worker);
            }
        }
        try (KeyValueIterator<String, byte[]> rows = tasks.all()) {
            rows.forEachRemaining(this::remember);
        }
    }

    private void remember(KeyValue<String, byte[]> row) {
        if (row.value.length == Task.ENDED.length) {
            return;
        }
        Task task = Task.fromBytes(row.key, row.value);
        sequence = Math.max(sequence, task.sequence + 1);
        if (task.state == Task.READY) {
            ready.add(task);
        } else {
            open.put(task.id, task);
            free.removeFirstOccurrence(task.worker);
        }
    }

    @Override
    public void process(Record<String, byte[]> record) {
        Message message = Message.read(record.value());
        switch (message.type) {
            case "submit" -> submit(message, record.timestamp());
            case "started" -> started(message, record.timestamp());
            case "completed" -> completed(message, record.timestamp());
            default -> throw new IllegalStateException("unknown type " + message.type);
        }
    }

    private void submit(Message message, long now) {
        if (tasks.get(message.id) != null) {
            event("refused", message.id, now, "\"reason\":\"repeated\"");
            return;
        }
        byte[] payload = message.payload.getBytes(StandardCharsets.UTF_8);
        Task task = new Task(message.id, message.priority, sequence++, payload);
        event("accepted", task.id, now, "\"priority\":" + task.priority);
        ready.add(task);
        assignReady(now);
        if (task.state == Task.READY) {
            tasks.put(task.id, task.toBytes());
        }
    }

    private void assignReady(long now) {
        while (!ready.isEmpty() && !free.isEmpty()) {
            Task task = ready.poll();
            int worker = free.pollFirst();
            task.assign(worker);
            if (isWholeLife) {
                open.put(task.id, task);
            } else {
                // Nobody will report: the slot is free again.
                free.addLast(worker);
            }
            tasks.put(task.id, task.toBytes());
            String name = "sim-" + worker;
            String attempt = "\"attempt\":" + task.attempt + ",\"worker\":\"" + name + "\"";
            event("assigned", task.id, now, attempt);
            forward(ASSIGN, name, now, "{\"v\":1,\"type\":\"assign\",\"pool\":\"bench\",\"task\":\"" + task.id + "\"," + attempt
                + ",\"token\":\"" + Long.toHexString(task.token) + "\",\"command\":[\"true\"],\"payload\":\""
                + task.payloadText() + "\"}");
        }
    }

    private void started(Message message, long now) {
        Task task = admitted(message);
        if (task == null || task.state != Task.ASSIGNED) {
            return;
        }
        task.state = Task.STARTED;
        tasks.put(task.id, task.toBytes());
        event("started", task.id, now, "\"attempt\":" + task.attempt + ",\"worker\":\"" + message.worker + "\"");
    }

    private void completed(Message message, long now) {
        Task task = admitted(message);
        if (task == null) {
            return;
        }
        open.remove(task.id);
        tasks.put(task.id, Task.ENDED);
        event("ended", task.id, now, "\"state\":\"COMPLETED\",\"attempt\":" + task.attempt);
        free.addLast(task.worker);
        Grid.ENDED.incrementAndGet();
        assignReady(now);
    }

    /** The open attempt that a report is about; none when it is another one's, or nobody's any more. */
    private Task admitted(Message message) {
        Task task = open.get(message.task);
        boolean isOpen = task != null && task.attempt == message.attempt
            && Long.toHexString(task.token).equals(message.token);
        return isOpen ? task : null;
    }

    private void event(String type, String id, long now, String rest) {
        forward(EVENTS, id, now, "{\"v\":1,\"type\":\"" + type + "\",\"at_ms\":" + now + ",\"pool\":\"bench\",\"id\":\"" + id
            + "\"," + rest + "}");
    }

    private void forward(String sink, String key, long now, String json) {
        context.forward(new Record<>(key, json.getBytes(StandardCharsets.UTF_8), now), sink);
    }
}
