package drayage.pipes;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import java.util.zip.DeflaterOutputStream;

/** Unit tests without a framework: each case needs its own environment, so it runs in a separate virtual machine. */
public final class PipesTest {
    private static final String SELF = PipesTest.class.getName();

    /** Runs every case without arguments; with one argument, runs the program of that case. */
    public static void main(String[] arguments) throws Exception {
        if (arguments.length == 1) {
            program(arguments[0]);
            return;
        }
        expect("a whole float stays a float on the wire", run("whole"), 0, "\"raw_value\":3.0");
        expect("a step of several assets must name one", run("unnamed"), 1, "name the one to report");
        expect("a close carries the cause, and nothing comes after it", run("failing"), 1, "\"message\":\"inner\"");
        expect("a program that Dagster did not start fails", run("alone"), 1, "DAGSTER_PIPES_CONTEXT");
        System.out.println("all passed");
    }

    private static void program(String name) throws IOException {
        Pipes.run(
                pipes -> {
                    switch (name) {
                        case "whole" -> pipes.materialize("a", null, Map.of("share", 3.0));
                        case "unnamed" -> pipes.materialize(null, null, Map.of());
                        default -> throw new IllegalStateException("outer", new IOException("inner"));
                    }
                });
    }

    private record Outcome(int code, String messages) {}

    private static Outcome run(String name) throws Exception {
        Path directory = Files.createTempDirectory("pipes");
        Path context = directory.resolve("context.json");
        Path messages = Files.createFile(directory.resolve("messages.jsonl"));
        Files.writeString(context, "{\"asset_keys\":[\"a\",\"b\"],\"extras\":{}}");
        var java = Path.of(System.getProperty("java.home"), "bin", "java").toString();
        var builder = new ProcessBuilder(List.of(java, "-cp", System.getProperty("java.class.path"), SELF, name));
        if (!name.equals("alone")) {
            builder.environment().put("DAGSTER_PIPES_CONTEXT", packed(context));
            builder.environment().put("DAGSTER_PIPES_MESSAGES", packed(messages));
        }
        Process process = builder.redirectErrorStream(true).start();
        String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        return new Outcome(process.waitFor(), Files.readString(messages) + output);
    }

    private static String packed(Path path) throws IOException {
        var bytes = new ByteArrayOutputStream();
        try (var zipped = new DeflaterOutputStream(bytes)) {
            zipped.write(("{\"path\":\"" + path + "\"}").getBytes(StandardCharsets.UTF_8));
        }
        return Base64.getEncoder().encodeToString(bytes.toByteArray());
    }

    private static void expect(String what, Outcome outcome, int code, String text) {
        if (outcome.code() != code || !outcome.messages().contains(text)) {
            throw new AssertionError(what + ": expected code " + code + " and " + text + ", got " + outcome);
        }
    }
}
