package drayage.flink;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.HashMap;
import java.util.Map;
import org.apache.flink.api.common.serialization.DeserializationSchema;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.avro.shaded.org.apache.avro.Schema;
import org.apache.flink.avro.shaded.org.apache.avro.generic.GenericDatumReader;
import org.apache.flink.avro.shaded.org.apache.avro.generic.GenericRecord;
import org.apache.flink.avro.shaded.org.apache.avro.io.BinaryDecoder;
import org.apache.flink.avro.shaded.org.apache.avro.io.DecoderFactory;
import org.apache.flink.formats.avro.AvroToRowDataConverters;
import org.apache.flink.formats.avro.typeutils.AvroSchemaConverter;
import org.apache.flink.table.data.GenericRowData;
import org.apache.flink.table.data.RowData;

/**
 * Decodes a message, or returns the reason why it is undecodable. If the registry does not answer, the job fails instead.
 *
 * <p>Source: Confluent Schema Registry, "Wire format": a zero byte, the schema's id in four bytes, Avro's encoding.
 */
final class QuarantineDeserializationSchema implements DeserializationSchema<RowData> {

    private static final long serialVersionUID = 1L;
    private static final int FRAME_BYTES = 5;
    private static final int MOST_REASON_CHARACTERS = 500;

    private final TableColumns columns;
    private final MonthRule monthRule;
    private final String registryUrl;
    private final TypeInformation<RowData> producedType;
    private final Schema readerSchema;
    private final AvroToRowDataConverters.AvroToRowDataConverter converter;

    private transient WriterSchemas writerSchemas;
    private transient Map<Integer, Reader> readers;
    private transient BinaryDecoder decoder;
    private transient GenericRecord record;

    QuarantineDeserializationSchema(
            TableColumns columns, MonthRule monthRule, String registryUrl, TypeInformation<RowData> producedType) {
        this.columns = columns;
        this.monthRule = monthRule;
        this.registryUrl = registryUrl;
        this.producedType = producedType;
        this.readerSchema = AvroSchemaConverter.convertToSchema(columns.recordType());
        this.converter = AvroToRowDataConverters.createRowConverter(columns.recordType());
    }

    @Override
    public void open(InitializationContext context) {
        writerSchemas = new WriterSchemas(registryUrl, readerSchema);
        readers = new HashMap<>();
    }

    @Override
    public RowData deserialize(byte[] message) throws IOException {
        if (message == null) {
            return columns.undecodable(null, "The record has no value");
        }
        if (message.length < FRAME_BYTES || message[0] != 0) {
            return columns.undecodable(
                    message, "Not in the schema registry's framing: expected a zero byte and a schema id of four bytes first");
        }
        Reader reader = find(ByteBuffer.wrap(message, 1, Integer.BYTES).getInt());
        if (reader.refusal != null) {
            return columns.undecodable(message, reader.refusal);
        }
        decoder = DecoderFactory.get().binaryDecoder(message, FRAME_BYTES, message.length - FRAME_BYTES, decoder);
        try {
            record = reader.avro.read(record, decoder);
            if (!decoder.isEnd()) {
                return columns.undecodable(message, reader.name + " ends before the value does");
            }
            GenericRowData decoded = (GenericRowData) converter.convert(record);
            String fault = monthRule.findFault(decoded);
            return fault == null ? columns.decoded(decoded) : columns.undecodable(message, cut(fault));
        } catch (IOException | RuntimeException error) {
            // Avro reads bytes from memory, so every exception, including those that are not Avro's own, is caused by
            // the bytes.
            record = null;
            return columns.undecodable(message, describe(reader, error));
        }
    }

    @Override
    public boolean isEndOfStream(RowData nextElement) {
        return false;
    }

    @Override
    public TypeInformation<RowData> getProducedType() {
        return producedType;
    }

    private Reader find(int schemaId) throws IOException {
        Reader reader = readers.get(schemaId);
        if (reader == null) {
            WriterSchemas.Found found = writerSchemas.find(schemaId);
            reader =
                    new Reader(
                            "Schema " + schemaId,
                            found.refusal(),
                            found.schema() == null ? null : new GenericDatumReader<>(found.schema(), readerSchema));
            readers.put(schemaId, reader);
        }
        return reader;
    }

    private static String describe(Reader reader, Exception error) {
        return cut(reader.name + " does not fit the value: " + error);
    }

    private static String cut(String reason) {
        return reason.length() > MOST_REASON_CHARACTERS ? reason.substring(0, MOST_REASON_CHARACTERS) : reason;
    }

    private record Reader(String name, String refusal, GenericDatumReader<GenericRecord> avro) {}
}
