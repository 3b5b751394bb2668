package workload;

import drayage.pipes.Pipes;
import java.util.Map;

/** Counts rows and reports how many: replace this with your own work. */
public final class Workload {
    /** Opens Pipes, does the work, and closes Pipes, even after an exception or SIGTERM. */
    public static void main(String[] arguments) throws Exception {
        Pipes.run(Workload::report);
    }

    /** Reports the results. They must include every name that the host's entry promises. */
    private static void report(Pipes pipes) {
        // The session has the entry's `extras`; the context also has the partition, the run and the asset's key.
        if (!(pipes.extras.get("rows") instanceof Long rows)) {
            throw new IllegalArgumentException(
                    "the extra `rows` must be a whole number, got " + pipes.extras.get("rows"));
        }
        // The key is null for an asset without partitions, or a range of partitions.
        Object key = pipes.context.get("partition_key");
        pipes.log("INFO", rows + " rows, partition " + (key == null ? "none" : key));
        pipes.materialize(null, null, Map.of("rows", rows));
    }
}
