package workload;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Base64;
import java.util.List;
import java.util.zip.DeflaterOutputStream;

/** Runs the workload as its container does, with files instead of a host; no framework is needed. */
public final class WorkloadTest {
    public static void main(String[] arguments) throws Exception {
        Outcome counted = run("{\"rows\": 5}");
        expect("it reports what it counted", counted, 0, "\"rows\":{\"type\":\"__infer__\",\"raw_value\":5}");
        expect("it logs what it counted", counted, 0, "5 rows, partition 2024-01");
        expect("an error is reported with the close", run("{\"rows\": \"many\"}"), 1, "\"name\":\"IllegalArgumentException\"");
        System.out.println("all tests passed");
    }

    private record Outcome(int exitCode, String messages) {}

    private static Outcome run(String extras) throws Exception {
        Path directory = Files.createTempDirectory("workload");
        Path context = directory.resolve("context.json");
        Path messages = Files.createFile(directory.resolve("messages.jsonl"));
        Files.writeString(
                context,
                "{\"asset_keys\": [\"trips\"], \"partition_key\": \"2024-01\", \"extras\": " + extras + "}");
        String java = Path.of(System.getProperty("java.home"), "bin", "java").toString();
        var workload =
                new ProcessBuilder(
                        List.of(java, "-cp", System.getProperty("java.class.path"), Workload.class.getName()));
        workload.environment().put("DAGSTER_PIPES_CONTEXT", packed(context));
        workload.environment().put("DAGSTER_PIPES_MESSAGES", packed(messages));
        int exitCode = workload.inheritIO().start().waitFor();
        return new Outcome(exitCode, Files.readString(messages));
    }

    /** Returns a path in the form of Pipes' bootstrap parameters. */
    private static String packed(Path path) throws IOException {
        var bytes = new ByteArrayOutputStream();
        try (var zipped = new DeflaterOutputStream(bytes)) {
            zipped.write(("{\"path\": \"" + path + "\"}").getBytes(StandardCharsets.UTF_8));
        }
        return Base64.getEncoder().encodeToString(bytes.toByteArray());
    }

    private static void expect(String what, Outcome outcome, int exitCode, String text) {
        if (outcome.exitCode() != exitCode || !outcome.messages().contains(text)) {
            throw new AssertionError(what + ": expected code " + exitCode + " and " + text + ", got " + outcome);
        }
    }
}
