package drayage.conformance;

import drayage.pipes.Pipes;
import drayage.pipes.Pipes.Typed;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CountDownLatch;

/** The conformance program: it runs each scenario of docs/workload-contract.md. */
public final class Conformance {
    private static final String TEXT = "quote \" backslash \\ newline \n tab \t umlaut ü euro € smile 😀";
    private static final PrintStream OUT = new PrintStream(System.out, true, StandardCharsets.UTF_8);

    public static void main(String[] arguments) throws Exception {
        Pipes.run(
                pipes -> {
                    String scenario = String.valueOf(pipes.extras.get("drayage/scenario"));
                    switch (scenario) {
                        case "context" -> context(pipes);
                        case "metadata" -> metadata(pipes);
                        case "checks" -> checks(pipes);
                        case "logs" -> logs(pipes);
                        case "custom" -> custom(pipes);
                        case "partitions" -> partitions(pipes);
                        case "streams" -> streams(pipes);
                        case "large" -> large(pipes);
                        case "many" -> many(pipes);
                        case "exception" -> exception();
                        case "sigterm" -> sigterm(pipes);
                        case "secret" -> secret(pipes);
                        default -> throw new IllegalArgumentException("unknown scenario " + scenario);
                    }
                });
    }

    private static void context(Pipes pipes) {
        OUT.println(pipes.extras.get("text"));
        pipes.custom(Map.of("context", pipes.context));
        pipes.assetKeys.forEach(asset -> pipes.materialize(asset, null, Map.of()));
    }

    private static void metadata(Pipes pipes) {
        Map<String, Object> emptyDay = new HashMap<>(Map.of("day", "2024-01-02"));
        emptyDay.put("trips", null);
        Object fare =
                Map.of(
                        "name", "fare",
                        "type", "decimal",
                        "description", "What was paid",
                        "tags", Map.of("unit", "usd"),
                        "constraints", Map.of("nullable", false, "unique", false, "other", List.of("> 0")));
        Map<String, Object> metadata = new LinkedHashMap<>();
        metadata.put("text", TEXT);
        metadata.put("url", new Typed("url", "https://example.org/a?b=c&d"));
        metadata.put("path", new Typed("path", "/data/a.parquet"));
        metadata.put("notebook", new Typed("notebook", "/data/a.ipynb"));
        metadata.put("md", new Typed("md", "**bold**"));
        metadata.put("json", new Typed("json", Map.of("a", Arrays.asList(1, null, true))));
        metadata.put("int", 9007199254740991L);
        metadata.put("float", 0.1);
        metadata.put("whole", 3.0);
        metadata.put("million", 1e6);
        metadata.put("bool", true);
        metadata.put("null", null);
        metadata.put("timestamp", new Typed("timestamp", 1704067200.5));
        metadata.put("run", new Typed("dagster_run", pipes.context.get("run_id")));
        metadata.put("asset", new Typed("asset", "silver/cleaned_trips"));
        metadata.put("inferred", List.of(1, "a"));
        metadata.put(
                "table",
                new Typed(
                        "table",
                        Map.of(
                                "records", List.of(Map.of("day", "2024-01-01", "trips", 2), emptyDay),
                                "schema", List.of(column("day", "date"), column("trips", "int")))));
        metadata.put("schema", new Typed("table_schema", Map.of("columns", List.of(fare, column("note", "text")))));
        metadata.put(
                "lineage",
                new Typed(
                        "table_column_lineage",
                        Map.of("deps_by_column", Map.of("fare", List.of(from("fare_amount"), from("tip"))))));
        pipes.materialize(null, "v1", metadata);
    }

    private static Map<String, Object> column(String name, String type) {
        return Map.of("name", name, "type", type);
    }

    private static Map<String, Object> from(String column) {
        return Map.of("asset_key", List.of("silver", "cleaned_trips"), "column_name", column);
    }

    private static void checks(Pipes pipes) {
        pipes.check(null, "whole", true, "ERROR", Map.of("rows", 3));
        pipes.check(null, "fresh", false, "WARN", Map.of("age_s", 1.5));
        pipes.materialize(null, null, Map.of());
    }

    private static void logs(Pipes pipes) {
        System.out.println("to stdout");
        System.err.println("to stderr");
        for (String level : List.of("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")) {
            pipes.log(level, level + " " + TEXT);
        }
        pipes.materialize(null, null, Map.of());
    }

    private static void custom(Pipes pipes) {
        Object own = Map.of("kind", "own", "a", Collections.singletonMap("b", null));
        Arrays.asList(null, true, 7, 0.5, TEXT, List.of(1, List.of(2)), own).forEach(pipes::custom);
        pipes.progress(null, Map.of("rows", 1));
        pipes.materialize(null, null, Map.of());
    }

    private static void partitions(Pipes pipes) {
        List<?> keys = (List<?>) pipes.extras.get("partitions");
        for (String asset : pipes.assetKeys) {
            for (int number = 0; number < keys.size(); number++) {
                pipes.partitionMetadata(asset, String.valueOf(keys.get(number)), Map.of("number", number));
            }
            pipes.progress(asset, Map.of("rows", 1));
            pipes.materialize(asset, null, Map.of());
        }
    }

    private static void streams(Pipes pipes) {
        pipes.externalStream("stdout", "stdout " + TEXT);
        pipes.externalStream("stderr", "stderr " + TEXT);
        pipes.materialize(null, null, Map.of());
    }

    private static void large(Pipes pipes) {
        int characters = ((Number) pipes.extras.get("characters")).intValue();
        int padding = String.valueOf(pipes.extras.get("padding")).length();
        pipes.materialize(null, null, Map.of("large", "x".repeat(characters), "padding", padding));
    }

    private static void many(Pipes pipes) {
        pipes.log("INFO", "begin");
        int count = ((Number) pipes.extras.get("count")).intValue();
        for (int number = 0; number < count; number++) {
            pipes.custom(Map.of("number", number));
        }
        pipes.log("INFO", "end");
        pipes.materialize(null, null, Map.of());
    }

    private static void exception() {
        throw new IllegalStateException("no trips", new IllegalArgumentException("the file is empty"));
    }

    private static void sigterm(Pipes pipes) throws InterruptedException {
        pipes.custom("ready");
        new CountDownLatch(1).await();
    }

    private static void secret(Pipes pipes) throws Exception {
        String token = Files.readString(Path.of("/run/secrets/token"));
        OUT.println(token);
        pipes.materialize(null, null, Map.of("characters", token.length()));
    }
}
