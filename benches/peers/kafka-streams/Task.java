// A task as it lies in the store: a few fixed fields, then the payload. Binary, since only this program reads it.

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;

final class Task {
    static final byte READY = 0;
    static final byte ASSIGNED = 1;
    static final byte STARTED = 2;

    /** All that is remembered of a task that has ended: a repeated submit of it is refused. */
    static final byte[] ENDED = {3};

    private static final int FIXED = 1 + 4 + 8 + 4 + 4 + 8;

    final String id;
    final int priority;
    final long sequence;
    final byte[] payload;
    byte state = READY;
    int worker;
    int attempt;
    long token;

    Task(String id, int priority, long sequence, byte[] payload) {
        this.id = id;
        this.priority = priority;
        this.sequence = sequence;
        this.payload = payload;
    }

    /** The worker gets it; only reports with this token are of any use from now on. */
    void assign(int toWorker) {
        worker = toWorker;
        attempt++;
        state = ASSIGNED;
        token = (sequence * 31 + attempt) * 0x9E3779B97F4A7C15L;
    }

    byte[] toBytes() {
        return ByteBuffer.allocate(FIXED + payload.length)
            .put(state).putInt(priority).putLong(sequence).putInt(worker).putInt(attempt).putLong(token)
            .put(payload).array();
    }

    static Task fromBytes(String id, byte[] bytes) {
        ByteBuffer from = ByteBuffer.wrap(bytes);
        byte state = from.get();
        int priority = from.getInt();
        long sequence = from.getLong();
        int worker = from.getInt();
        int attempt = from.getInt();
        long token = from.getLong();
        byte[] payload = new byte[from.remaining()];
        from.get(payload);
        Task task = new Task(id, priority, sequence, payload);
        task.state = state;
        task.worker = worker;
        task.attempt = attempt;
        task.token = token;
        return task;
    }

    String payloadText() {
        return new String(payload, StandardCharsets.UTF_8);
    }
}
