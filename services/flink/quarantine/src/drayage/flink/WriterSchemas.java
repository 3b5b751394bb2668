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

/** The registry's schemas, held against the one that the table's columns make. */
final class WriterSchemas {

    /** The registry's own code for a schema id that it does not know. */
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

    /** A schema that the table can be read with, or why there is none. */
    record Found(Schema schema, String refusal) {}

    /**
     * Asks the registry.
     *
     * @throws IOException the registry does not answer, or not as one does: nothing is known of the schema then
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

    /** Finds what Avro's own resolution would pass over, or say only at each message. */
    private String findMisfit(Schema writer) {
        if (writer.getType() != Schema.Type.RECORD) {
            return "it is no record, but " + writer.getType().getName();
        }
        for (Schema.Field field : readerSchema.getFields()) {
            Schema.Field written = writer.getField(field.name());
            if (written == null) {
                if (!field.hasDefaultValue()) {
                    return "it has no field " + field.name();
                }
                continue;
            }
            // To Avro two long are the same: milliseconds would be read as microseconds.
            String expected = logicalName(field.schema());
            String found = logicalName(written.schema());
            if (!Objects.equals(expected, found)) {
                return "field " + field.name() + " should have the logical type " + expected + ", and has " + found;
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
                + " could not be asked for schema "
                + schemaId
                + " ("
                + error.getMessage()
                + "). No record is quarantined for that: start the registry, then materialize again";
    }
}
