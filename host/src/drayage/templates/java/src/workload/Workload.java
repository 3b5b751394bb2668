package workload;

import drayage.pipes.Pipes;
import java.util.Map;

/** Counts rows, and reports how many: put your own work in its place. */
public final class Workload {
    /** Opens Pipes, does the work, and closes Pipes, also after an exception or SIGTERM. */
    public static void main(String[] arguments) throws Exception {
        Pipes.run(Workload::report);
    }

    /** Reports what was made. Every name that the host's entry promises must be there. */
    private static void report(Pipes pipes) {
        // What the entry's `extras` say arrives here, beside the partition, the run and the asset's key.
        if (!(pipes.extras.get("rows") instanceof Long rows)) {
            throw new IllegalArgumentException(
                    "the extra `rows` must be a whole number, got " + pipes.extras.get("rows"));
        }
        // There is no key without partitions, or with a range of them.
        Object key = pipes.context.get("partition_key");
        pipes.log("INFO", rows + " rows, partition " + (key == null ? "none" : key));
        pipes.materialize(null, null, Map.of("rows", rows));
    }
}
