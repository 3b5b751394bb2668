package drayage.flink;

import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import java.util.TreeMap;

/** A fake schema registry that returns schemas by id. */
final class FakeRegistry implements AutoCloseable {

    private final HttpServer server;
    private final Map<Integer, String> answers = new TreeMap<>();
    private int failure;

    FakeRegistry() throws IOException {
        server = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
        server.createContext(
                "/schemas/ids/",
                exchange -> {
                    String path = exchange.getRequestURI().getPath();
                    String answer = answers.get(Integer.parseInt(path.substring(path.lastIndexOf('/') + 1)));
                    int status = failure != 0 ? failure : answer == null ? 404 : 200;
                    String body =
                            status == 200 ? answer : "{\"error_code\": " + (status == 404 ? 40403 : status) + ", \"message\": \"no\"}";
                    byte[] bytes = body.getBytes(StandardCharsets.UTF_8);
                    exchange.getResponseHeaders().add("Content-Type", "application/json");
                    exchange.sendResponseHeaders(status, bytes.length);
                    exchange.getResponseBody().write(bytes);
                    exchange.close();
                });
        server.start();
    }

    String url() {
        return "http://127.0.0.1:" + server.getAddress().getPort();
    }

    void register(int id, String avroSchema) {
        register(id, "AVRO", avroSchema);
    }

    void register(int id, String type, String schema) {
        String quoted = schema.replace("\"", "\\\"").replace("\n", " ");
        answers.put(id, "{\"schemaType\": \"" + type + "\", \"schema\": \"" + quoted + "\"}");
    }

    /** Answers every request with this status from now on. */
    void failWith(int status) {
        failure = status;
    }

    @Override
    public void close() {
        server.stop(0);
    }
}
