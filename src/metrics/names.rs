//! Every metric: its kind, name, labels, unit and meaning. `docs/metrics.md` is made of this file.

use super::table::{Kind, Metric, metrics};

metrics! {
    "Tasks" {
        TASKS Gauge "yardmaster_tasks" [pool state] "tasks"
            "Tasks by pool and state, those that have ended included. Exact: read from the stores at each scrape.";
        QUEUE_TASKS Gauge "yardmaster_queue_tasks" [pool queue state] "tasks"
            "Tasks that have not ended, by queue and state. Exact: read from the stores at each scrape.";
        QUEUE_OLDEST Gauge "yardmaster_queue_oldest_seconds" [pool queue] "seconds"
            "How long the task that waits longest in a queue has been QUEUED; absent where nothing waits. Of a partition at most 1,000 lines (priority, queue, job) are looked at.";
        ACCEPTED Counter "yardmaster_tasks_accepted_total" [] "tasks"
            "Tasks that were taken in; repeats of what was known already are not counted.";
        ASSIGNED Counter "yardmaster_attempts_opened_total" [] "attempts"
            "Attempts that were given to a worker.";
        STARTED Counter "yardmaster_attempts_started_total" [] "attempts"
            "Attempts of which the worker said that the program runs.";
        ATTEMPTS Counter "yardmaster_attempts_closed_total" [outcome reason] "attempts"
            "Attempts that are over, by outcome and reason.";
        ENDED Counter "yardmaster_tasks_ended_total" [state reason] "tasks"
            "Tasks that became terminal, by state and reason.";
    }
    "Times of tasks" {
        DISPATCH_SECONDS Histogram "yardmaster_dispatch_seconds" [pool] "seconds"
            "From the submission of a task to its first assignment. Observed when the task has ended.";
        START_SECONDS Histogram "yardmaster_start_seconds" [pool] "seconds"
            "From an assignment to the start of the program, for each attempt that started. Observed when the task has ended.";
        RUN_SECONDS Histogram "yardmaster_run_seconds" [pool] "seconds"
            "From the start of the program to the end of its attempt, for each attempt that started. Observed when the task has ended.";
        TASK_SECONDS Histogram "yardmaster_task_seconds" [pool] "seconds"
            "From the submission of a task to its end.";
    }
    "What was not done" {
        NOOPS Counter "yardmaster_noops_total" [what reason] "records"
            "What changed nothing, by kind (fenced, duplicate, illegal, repeated, deferred, unsent) and reason.";
        REFUSED Counter "yardmaster_commands_refused_total" [reason] "commands"
            "Commands that were refused, by reason.";
        DEAD_LETTERS Counter "yardmaster_dead_letters_total" [reason] "records"
            "Records that could not be read and became dead letters, by reason.";
        BURIED Counter "yardmaster_tasks_buried_total" [] "tasks"
            "Tasks that have FAILED and were put onto the dead-letter topic with their attempts.";
        REROUTED Counter "yardmaster_records_rerouted_total" [] "records"
            "Records that came to the wrong partition and were sent on to that of their pool.";
    }
    "Workers" {
        WORKERS Gauge "yardmaster_workers" [pool state] "workers"
            "Registered workers by pool and state. SUSPECT is one that would get work if it spoke.";
        SLOTS Gauge "yardmaster_slots" [pool] "slots"
            "Slots of the workers that have not left.";
        SLOTS_IN_USE Gauge "yardmaster_slots_in_use" [pool] "slots"
            "Slots with an open attempt.";
        SLOTS_FREE Gauge "yardmaster_slots_free" [pool] "slots"
            "Slots that may be given a task now: those of workers that drain, are SUSPECT, full or still join are not.";
        WORKERS_JOINED Counter "yardmaster_workers_joined_total" [] "workers"
            "Workers that said hello and may get work.";
        WORKERS_LOST Counter "yardmaster_workers_lost_total" [reason] "workers"
            "Workers that were lost; the reason lease_expired counts the leases that ran out.";
        WORKERS_LEFT Counter "yardmaster_workers_left_total" [reason] "workers"
            "Workers that left in good order, or were replaced by a newer life of themselves.";
    }
    "Processors" {
        PARTITIONS Gauge "yardmaster_partitions" [place] "partitions"
            "Partitions as this instance sees them: here, elsewhere, or moving: served by nobody at the moment.";
        HALTED Gauge "yardmaster_partition_halted" [partition cause] "boolean"
            "1 for a partition that is placed here and stands still, by cause: topics, directory, too_new, input_lost, changelog_lost, damaged (a person has to act), or no_space (goes on by itself). The log and /readyz say more.";
        FOLLOWING Gauge "yardmaster_placement_followed" [] "boolean"
            "1 when the placement was seen within instance.timeout, else 0: this instance may be cut off from Kafka.";
        BATCHES Counter "yardmaster_batches_total" [partition] "batches"
            "Committed batches.";
        TAKEN Counter "yardmaster_records_taken_total" [partition] "records"
            "Records taken from tasks and status.";
        PRODUCED Counter "yardmaster_records_produced_total" [partition] "records"
            "Records produced inside transactions.";
        PRODUCED_BYTES Counter "yardmaster_produced_bytes_total" [partition] "bytes"
            "Keys and values produced inside transactions, before compression.";
        EFFECTS Counter "yardmaster_effects_total" [effect] "effects"
            "Effects of decisions, by kind.";
        BATCH_SECONDS Histogram "yardmaster_batch_seconds" [] "seconds"
            "From deciding a batch to its release.";
        COMMIT_SECONDS Histogram "yardmaster_commit_seconds" [] "seconds"
            "The commit of a batch's transaction: from the last record queued to the broker's word.";
        BATCH_RECORDS Histogram "yardmaster_transaction_records" [] "records"
            "Records produced in one transaction.";
        BATCH_PARTITIONS Histogram "yardmaster_transaction_partitions" [] "partitions"
            "Partitions that one transaction wrote to; a reply topic counts as one.";
        PHASE_SECONDS Counter "yardmaster_batch_phase_seconds_total" [partition phase] "seconds"
            "Time spent in each phase of committed batches: take, decide, send, commit, store, release.";
        INPUT_LAG Gauge "yardmaster_input_lag_records" [partition input] "records"
            "Records of an input behind the last committed batch: the high watermark, at most a second old, minus the position.";
        INPUT_AGE Gauge "yardmaster_input_lag_seconds" [partition input] "seconds"
            "Age of the newest record of an input when it was taken; 0 when everything was taken. Of a processor that stands still, at least for how long.";
        STILL_SECONDS Gauge "yardmaster_processor_still_seconds" [partition] "seconds"
            "Time since the processor last took a turn, of which it takes many a second. One that hangs in a call or recovers stands still, and its lag in seconds grows with this.";
        CLAIMS Counter "yardmaster_claims_total" [partition] "claims"
            "Sessions of a processor that claimed the partition and began to process.";
        RECOVERIES Counter "yardmaster_recoveries_total" [partition what] "recoveries"
            "Sessions that began anew after a doubt, with a new producer (session), and stores that could not be opened or were rebuilt (store).";
        RESTORED Gauge "yardmaster_restored_records" [partition] "records"
            "Changelog records that the last restore has read.";
        RESTORE_LEFT Gauge "yardmaster_restore_remaining_records" [partition] "records"
            "Offsets of the changelog that the restore has still to read; 0 when it is over.";
        RESTORE_SECONDS Gauge "yardmaster_restore_seconds" [partition] "seconds"
            "How long the last restore took.";
        REFILL_LEFT Gauge "yardmaster_history_refill_remaining_records" [partition] "records"
            "Offsets of events that history has still to be refilled from; 0 when it is whole.";
        CHANGELOG_END Gauge "yardmaster_changelog_end_offset" [partition] "offset"
            "The next offset of the changelog after the last committed batch.";
    }
    "Standbys" {
        STANDBYS Gauge "yardmaster_standby_partitions" [] "partitions"
            "Copies of others' partitions that are kept here and have caught up once.";
        STANDBY_LAG Gauge "yardmaster_standby_lag_records" [partition] "records"
            "Offsets of the changelog that a copy has still to read: its end, as last heard of, minus the position.";
        STANDBY_AGE Gauge "yardmaster_standby_lag_seconds" [partition] "seconds"
            "How old the last batch in a copy is while it is behind; 0 when it has everything.";
    }
    "Stores" {
        STORE_ROWS Gauge "yardmaster_store_rows" [partition class] "rows"
            "Rows of a store by class (logged, index, history), as RocksDB estimates them.";
        STORE_BYTES Gauge "yardmaster_store_bytes" [partition files] "bytes"
            "Bytes of a store's files: live holds the current rows, total also what only old views need.";
        MEMTABLE_BYTES Gauge "yardmaster_rocksdb_memtable_bytes" [partition] "bytes"
            "Bytes of writes that are not in files yet.";
        MEMTABLES Gauge "yardmaster_rocksdb_immutable_memtables" [partition] "memtables"
            "Full memtables that wait to be written to files.";
        PENDING_BYTES Gauge "yardmaster_rocksdb_pending_compaction_bytes" [partition] "bytes"
            "Bytes that compaction still has to rewrite.";
        COMPACTIONS Gauge "yardmaster_rocksdb_running_compactions" [partition] "compactions"
            "Compactions that run now.";
        WRITE_STOPPED Gauge "yardmaster_rocksdb_write_stopped" [partition] "boolean"
            "1 while RocksDB takes no writes until compaction has caught up.";
        WRITE_RATE Gauge "yardmaster_rocksdb_delayed_write_rate_bytes" [partition] "bytes per second"
            "The rate that RocksDB slows writes down to; 0 when it does not.";
        BACKGROUND_ERRORS Gauge "yardmaster_rocksdb_background_errors" [partition] "errors"
            "Errors of flushes and compactions since the store was opened.";
        CACHE_BYTES Gauge "yardmaster_rocksdb_block_cache_bytes" [] "bytes"
            "Bytes used of the block cache, which all stores of the process share.";
        CACHE_PINNED Gauge "yardmaster_rocksdb_block_cache_pinned_bytes" [] "bytes"
            "Bytes of the block cache that are in use and can't be evicted.";
        CACHE_CAPACITY Gauge "yardmaster_rocksdb_block_cache_capacity_bytes" [] "bytes"
            "The size of the block cache (store.cache_bytes).";
    }
    "Kafka clients" {
        KAFKA_RTT Gauge "yardmaster_kafka_rtt_seconds" [client partition] "seconds"
            "99th percentile of the round trips to the slowest broker, as librdkafka measured it last; fetches wait for records at the broker.";
        KAFKA_QUEUED Gauge "yardmaster_kafka_queued_messages" [client partition] "records"
            "Records that wait in librdkafka's queue of a producer.";
        KAFKA_BROKERS Gauge "yardmaster_kafka_brokers_up" [client partition] "brokers"
            "Brokers that a client is connected to. A producer that has nothing to send need not be connected to any; readers always are.";
        KAFKA_REQUESTS Counter "yardmaster_kafka_requests_total" [client] "requests"
            "Requests sent to brokers.";
        KAFKA_BYTES Counter "yardmaster_kafka_bytes_total" [client direction] "bytes"
            "Bytes sent to and received from brokers.";
        KAFKA_OVERDUE Gauge "yardmaster_kafka_calls_overdue" [call] "calls"
            "Calls of the Kafka client that go on for longer than 5 s: claim, deliver, commit, send, watermarks, describe, close. The log and /readyz name them.";
        KAFKA_TROUBLES Counter "yardmaster_kafka_troubles_total" [client what] "events"
            "What went wrong between a client and its brokers: send_error, receive_error, retry, timeout, disconnect.";
    }
    "HTTP" {
        HTTP_REQUESTS Counter "yardmaster_http_requests_total" [method route code] "requests"
            "Requests by method, route template and status code; what matches no route has the route unmatched.";
        HTTP_SECONDS Counter "yardmaster_http_request_seconds_total" [route] "seconds"
            "Time until answers began, by route template; waits that were asked for are in it.";
    }
    "Process" {
        BUILD Gauge "yardmaster_build_info" [version] "1"
            "Always 1; the label has the version.";
        SERIES Gauge "yardmaster_metrics_series" [] "series"
            "Series in this answer, this one left out.";
        RSS Gauge "process_resident_memory_bytes" [] "bytes"
            "Resident memory. Only on Linux, as all of process_*.";
        VIRTUAL Gauge "process_virtual_memory_bytes" [] "bytes"
            "Virtual memory.";
        CPU Counter "process_cpu_seconds_total" [] "seconds"
            "User and system CPU time.";
        THREADS Gauge "process_threads" [] "threads"
            "Threads.";
        FILES Gauge "process_open_fds" [] "files"
            "Open file descriptors.";
        START Gauge "process_start_time_seconds" [] "seconds"
            "Start of the process in seconds since 1970.";
    }
}
