package drayage.flink;

import java.io.IOException;
import java.util.Map;
import java.util.Objects;
import org.apache.flink.avro.registry.confluent.shaded.io.confluent.kafka.schemaregistry.avro.AvroSchema;
import org.apache.flink.avro.registry.confluent.shaded.io.confluent.kafka.schemaregistry.client.CachedSchemaRegistryClient;
import org.apache.flink.avro.registry.confluent.shaded.io.confluent.kafka.schemaregistry.client.SchemaRegistryClient;
import org.apache.flink.avro.registry.confluent.shaded.io.confluent.kafka.schemaregistry.client.rest.RestService;
import org.apache.flink.avro.registry.confluent.shaded.io.confluent.kafka.schemaregistry.client.rest.exceptions.RestClientException;
import org.apache.flink.avro.shaded.org.apache.avro.LogicalType;
import org.apache.flink.avro.shaded.org.apache.avro.Schema;

/** Finds the registry's schemas, and compares them with the schema of the table's columns. */
final class WriterSchemas {

    /** The registry's error code for an unknown schema id. */
    private static final int SCHEMA_NOT_FOUND = 40403;

    private static final int CACHED_SCHEMAS = 1000;
    private static final Map<String, Object> TIMEOUTS =
            Map.of("http.connect.timeout.ms", 5_000, "http.read.timeout.ms", 10_000);

    private final String url;
    private final Schema readerSchema;
    private final RestService rest;
    private final SchemaRegistryClient client;

    WriterSchemas(String url, Schema readerSchema) {
        this.url = url;
        this.readerSchema = readerSchema;
        this.rest = new RestService(url);
        this.client = new CachedSchemaRegistryClient(rest, CACHED_SCHEMAS, TIMEOUTS);
    }

    /** A schema that fits the table, or the reason why there is none. */
    record Found(Schema schema, String refusal) {}

    /**
     * Requests a schema from the registry.
     *
     * @throws IOException the registry does not answer, or not as expected, so nothing is known about the schema
     */
    Found find(int schemaId) throws IOException {
        String name = "Schema " + schemaId;
        try {
            String type = rest.getId(schemaId).getSchemaType();
            if (type != null && !type.equals(AvroSchema.TYPE)) {
                return new Found(null, name + " is of type " + type + ", not AVRO");
            }
            Schema schema = (Schema) client.getSchemaById(schemaId).rawSchema();
            String misfit = findMisfit(schema);
            return misfit == null ? new Found(schema, null) : new Found(null, name + " does not fit the table: " + misfit);
        } catch (RestClientException error) {
            if (error.getErrorCode() == SCHEMA_NOT_FOUND) {
                return new Found(null, name + " is unknown to the schema registry");
            }
            throw new IOException(failure(schemaId, error), error);
        } catch (IOException error) {
            throw new IOException(failure(schemaId, error), error);
        }
    }

    /** Finds a mismatch that Avro's own resolution would ignore, or would report only for each message. */
    private String findMisfit(Schema writer) {
        if (writer.getType() != Schema.Type.RECORD) {
            return "it is not a record, but " + writer.getType().getName();
        }
        for (Schema.Field field : readerSchema.getFields()) {
            Schema.Field written = writer.getField(field.name());
            if (written == null) {
                if (!field.hasDefaultValue()) {
                    return "it has no field " + field.name();
                }
                continue;
            }
            // Avro encodes both as long, so milliseconds would be read as microseconds.
            String expected = logicalName(field.schema());
            String found = logicalName(written.schema());
            if (!Objects.equals(expected, found)) {
                return "field " + field.name() + " should have the logical type " + expected + ", but has " + found;
            }
        }
        return null;
    }

    private static String logicalName(Schema schema) {
        Schema value = schema;
        if (schema.getType() == Schema.Type.UNION) {
            value =
                    schema.getTypes().stream()
                            .filter(branch -> branch.getType() != Schema.Type.NULL)
                            .findFirst()
                            .orElse(schema);
        }
        LogicalType logicalType = value.getLogicalType();
        return logicalType == null ? null : logicalType.getName();
    }

    private String failure(int schemaId, Exception error) {
        return "The schema registry at "
                + url
                + " did not return schema "
                + schemaId
                + " ("
                + error.getMessage()
                + "). Records are not quarantined for this reason: start the registry, then materialize again";
    }
}
