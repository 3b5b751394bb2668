package drayage.pipes;

import com.google.gson.Gson;
import com.google.gson.GsonBuilder;
import com.google.gson.ToNumberPolicy;
import com.google.gson.annotations.SerializedName;
import com.google.gson.reflect.TypeToken;
import java.io.ByteArrayInputStream;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Base64;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.zip.InflaterInputStream;

/**
 * Connects a Java program to the runner that started it, over Dagster Pipes 0.1.
 *
 * <p>Most programs need only {@link #run}: it opens Pipes, calls the program, and closes Pipes with the result. Several
 * threads may use one session at the same time.
 */
public final class Pipes {
    private static final Gson GSON =
            new GsonBuilder()
                    .serializeNulls()
                    .disableHtmlEscaping()
                    .setObjectToNumberStrategy(ToNumberPolicy.LONG_OR_DOUBLE)
                    .create();

    private static final TypeToken<Map<String, Object>> OBJECT = new TypeToken<>() {};

    /** A program that uses a session. */
    @FunctionalInterface
    public interface Program {
        void run(Pipes pipes) throws Exception;
    }

    /** A value (null, Boolean, Number, String, List or Map) with one of the contract's types, such as "url" or "md". */
    public record Typed(String type, @SerializedName("raw_value") Object value) {}

    private record Failure(String name, String message, List<String> stack, Failure cause, Failure context) {}

    /** The step's context from the runner, with the members of context.json; whole numbers are Long, others Double. */
    public final Map<String, Object> context;

    /** The assets that the step makes; empty if it makes none. */
    public final List<String> assetKeys;

    /** The extras from the host. */
    public final Map<String, Object> extras;

    private final OutputStream out;
    private boolean closed;

    @SuppressWarnings("unchecked")
    private Pipes(Map<String, Object> context, OutputStream out) {
        this.context = context;
        this.assetKeys = context.get("asset_keys") == null ? List.of() : (List<String>) context.get("asset_keys");
        this.extras = (Map<String, Object>) context.get("extras");
        this.out = out;
    }

    /**
     * Opens Pipes, calls the program, closes Pipes and ends the virtual machine: with 0, with 1 after an exception, and
     * with 143 after SIGTERM.
     */
    public static void run(Program program) throws IOException {
        Pipes pipes = open();
        // SIGTERM runs the hooks while the program continues; if the program has closed Pipes, this does nothing. The
        // exit code is then the virtual machine's: 143.
        Runtime.getRuntime().addShutdownHook(new Thread(() -> pipes.close(new Exception("ended by SIGTERM"))));
        try {
            program.run(pipes);
            pipes.close(null);
            System.exit(0);
        } catch (Throwable error) {
            error.printStackTrace();
            pipes.close(error);
            System.exit(1);
        }
    }

    /** Reads the context and sends "opened". Every opened session must be closed. */
    public static Pipes open() throws IOException {
        Map<String, Object> from = bootstrap("DAGSTER_PIPES_CONTEXT");
        Map<String, Object> to = bootstrap("DAGSTER_PIPES_MESSAGES");
        String context = Files.readString(Path.of(String.valueOf(from.get("path"))));
        OutputStream out =
                to.get("path") instanceof String path
                        ? new FileOutputStream(path, true)
                        : "stdout".equals(to.get("stdio")) ? System.out : System.err;
        Pipes pipes = new Pipes(GSON.fromJson(context, OBJECT), out);
        pipes.send("opened", Map.of("extras", Map.of()));
        return pipes;
    }

    /** Reports an asset. The asset may be null in a step with one asset; the data version may always be null. */
    public void materialize(String asset, String dataVersion, Map<String, ?> metadata) {
        Map<String, Object> params = about(asset, metadata);
        params.put("data_version", dataVersion);
        send("report_asset_materialization", params);
    }

    /** Reports the result of an asset check; the severity is "WARN" or "ERROR", the asset is as in materialize. */
    public void check(String asset, String name, boolean passed, String severity, Map<String, ?> metadata) {
        Map<String, Object> params = about(asset, metadata);
        params.putAll(Map.of("check_name", name, "passed", passed, "severity", severity));
        send("report_asset_check", params);
    }

    /** Writes to the run's event log; the level is "DEBUG", "INFO", "WARNING", "ERROR" or "CRITICAL". */
    public void log(String level, String message) {
        send("log", Map.of("level", level, "message", message));
    }

    /** Sends any JSON to the host: null, Boolean, Number, String, List or Map. */
    public void custom(Object payload) {
        send("report_custom_message", Collections.singletonMap("payload", payload));
    }

    /** Sends numbers that the host plots while the step runs; the asset is as in materialize. */
    public void progress(String asset, Map<String, ?> metadata) {
        Map<String, Object> payload = about(asset, metadata);
        payload.put("kind", "progress");
        custom(payload);
    }

    /** Adds metadata to the materialization of one partition, in a step that covers several. */
    public void partitionMetadata(String asset, String partition, Map<String, ?> metadata) {
        Map<String, Object> payload = about(asset, metadata);
        payload.putAll(Map.of("kind", "partition_metadata", "partition_key", partition));
        custom(payload);
    }

    /** Forwards the output of another process to the host; the stream is "stdout" or "stderr". */
    public void externalStream(String stream, String text) {
        send("log_external_stream", Map.of("stream", stream, "text", text));
    }

    /** Sends "closed", with the error and its causes if it is not null; a second call does nothing. */
    public synchronized void close(Throwable error) {
        send("closed", error == null ? Map.of() : Map.of("exception", failure(error)));
        closed = true;
    }

    private Map<String, Object> about(String asset, Map<String, ?> metadata) {
        if (asset == null && assetKeys.size() != 1) {
            throw new IllegalArgumentException(
                    "pipes: the step has " + assetKeys.size() + " assets: name the one to report");
        }
        Map<String, Object> wire = new LinkedHashMap<>(metadata);
        wire.replaceAll((name, value) -> value instanceof Typed ? value : new Typed("__infer__", value));
        return new LinkedHashMap<>(Map.of("asset_key", asset == null ? assetKeys.get(0) : asset, "metadata", wire));
    }

    private synchronized void send(String method, Map<String, Object> params) {
        if (closed) {
            return;
        }
        Map<String, Object> message = Map.of("__dagster_pipes_version", "0.1", "method", method, "params", params);
        try {
            // Writes each message at once, so that the lines of several writers stay whole.
            out.write((GSON.toJson(message) + "\n").getBytes(StandardCharsets.UTF_8));
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
    }

    private static Failure failure(Throwable error) {
        if (error == null) {
            return null;
        }
        List<String> stack = new ArrayList<>();
        for (StackTraceElement frame : error.getStackTrace()) {
            stack.add(0, "at " + frame + "\n");
        }
        String name = error.getClass().getSimpleName();
        return new Failure(name, String.valueOf(error.getMessage()), stack, failure(error.getCause()), null);
    }

    private static Map<String, Object> bootstrap(String variable) throws IOException {
        String packed = System.getenv().getOrDefault(variable, "");
        try {
            byte[] zipped = Base64.getDecoder().decode(packed);
            var unpacked = new InflaterInputStream(new ByteArrayInputStream(zipped));
            return GSON.fromJson(new String(unpacked.readAllBytes(), StandardCharsets.UTF_8), OBJECT);
        } catch (IOException | IllegalArgumentException error) {
            throw new IOException(
                    "pipes: " + variable + " has no bootstrap parameters; was this program started by Dagster?", error);
        }
    }
}
