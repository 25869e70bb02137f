// What is measured, and where.

import java.nio.file.Path;

record Shape(String bootstrap, long tasks, int workers, String work, int commitIntervalMs, Path data) {
    /** Of each simulated worker. */
    static final int SLOTS = 64;

    /** Whether tasks go on after they were assigned. */
    boolean isWholeLife() {
        return work.equals("lives");
    }
}
