package drayage.flink;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.apache.flink.avro.shaded.org.apache.avro.Schema;
import org.apache.flink.avro.shaded.org.apache.avro.generic.GenericData;
import org.apache.flink.avro.shaded.org.apache.avro.generic.GenericDatumWriter;
import org.apache.flink.avro.shaded.org.apache.avro.io.BinaryEncoder;
import org.apache.flink.avro.shaded.org.apache.avro.io.EncoderFactory;
import org.apache.flink.table.api.DataTypes;
import org.apache.flink.table.api.ValidationException;
import org.apache.flink.table.data.GenericMapData;
import org.apache.flink.table.data.MapData;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.data.StringData;
import org.apache.flink.table.types.logical.RowType;
import org.apache.flink.util.InstantiationUtil;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

class QuarantineDeserializationSchemaTest {

    private static final String TRIP =
            "{\"type\": \"record\", \"name\": \"Trip\", \"namespace\": \"taxi\", \"fields\": ["
                    + "{\"name\": \"id\", \"type\": \"string\"},"
                    + "{\"name\": \"month\", \"type\": \"string\"},"
                    + "{\"name\": \"sent_at\", \"type\": {\"type\": \"long\", \"logicalType\": \"timestamp-millis\"}},"
                    + "{\"name\": \"fare\", \"type\": [\"null\", \"double\"], \"default\": null}%s]}";
    private static final String SCHEMA = TRIP.formatted("");
    private static final long SENT_AT = 1_700_000_000_123L; // 2023-11-14
    private static final int SENT = 2;
    private static final int FARE = 3;
    private static final int NOTES = 4;
    private static final int REASON = 5;
    private static final int VALUE = 6;
    private static final List<String> REQUIRED = List.of("id", "month", "sent_at");
    private static final RowType TABLE =
            (RowType)
                    DataTypes.ROW(
                                    DataTypes.FIELD("id", DataTypes.STRING()),
                                    DataTypes.FIELD("month", DataTypes.STRING()),
                                    DataTypes.FIELD("sent_at", DataTypes.TIMESTAMP(3)),
                                    DataTypes.FIELD("fare", DataTypes.DOUBLE()),
                                    DataTypes.FIELD("notes", DataTypes.MAP(DataTypes.STRING(), DataTypes.STRING())),
                                    DataTypes.FIELD("reason", DataTypes.STRING()),
                                    DataTypes.FIELD("value", DataTypes.BYTES()))
                            .getLogicalType();

    private FakeRegistry registry;

    @BeforeEach
    void startRegistry() throws IOException {
        registry = new FakeRegistry();
        registry.register(1, SCHEMA);
    }

    @AfterEach
    void stopRegistry() {
        registry.close();
    }

    @Test
    void aRecordBecomesARowWithoutReason() throws Exception {
        RowData row = format().deserialize(trip(1, SCHEMA, 12.5));
        assertEquals("trip-1", row.getString(0).toString());
        assertEquals(SENT_AT, row.getTimestamp(SENT, 3).getMillisecond());
        assertEquals(12.5, row.getDouble(FARE));
        assertTrue(row.isNullAt(REASON) && row.isNullAt(VALUE));
    }

    @Test
    void aNewOptionalFieldFlowsThroughAndAMissingOneIsNull() throws Exception {
        String wider = TRIP.formatted(", {\"name\": \"tip\", \"type\": [\"null\", \"double\"], \"default\": null}");
        registry.register(2, wider);
        QuarantineDeserializationSchema format = format();
        assertEquals(9.0, format.deserialize(trip(2, wider, 9.0)).getDouble(FARE));
        String narrower = SCHEMA.replace(",{\"name\": \"fare\", \"type\": [\"null\", \"double\"], \"default\": null}", "");
        registry.register(3, narrower);
        RowData row = format.deserialize(trip(3, narrower, null));
        assertTrue(row.isNullAt(FARE) && row.isNullAt(NOTES) && row.isNullAt(REASON));
    }

    @Test
    void aMapIsReadWholeAndTheNextRecordsIsAnother() throws Exception {
        String mapped =
                TRIP.formatted(
                        ", {\"name\": \"notes\", \"type\": [\"null\", {\"type\": \"map\", \"values\": \"string\"}],"
                                + " \"default\": null}");
        registry.register(9, mapped);
        QuarantineDeserializationSchema format = format();
        RowData two = format.deserialize(trip(9, mapped, "2023-11", SENT_AT, Map.of("notes", Map.of("a", "1", "b", "é"))));
        RowData none = format.deserialize(trip(9, mapped, null));
        RowData empty = format.deserialize(trip(9, mapped, "2023-11", SENT_AT, Map.of("notes", Map.of())));
        MapData notes = two.getMap(NOTES);
        assertEquals(2, notes.size());
        assertEquals(
                StringData.fromString("é"), ((GenericMapData) notes).get(StringData.fromString("b")), notes::toString);
        assertTrue(none.isNullAt(NOTES) && none.isNullAt(REASON));
        assertEquals(0, empty.getMap(NOTES).size());
    }

    @Test
    void aMonthFromTheFirstToThatOfSendingIsOne() throws Exception {
        QuarantineDeserializationSchema format = format();
        assertEquals("2009-01", format.deserialize(trip("2009-01", SENT_AT)).getString(1).toString());
        long first = Instant.parse("2024-12-01T00:00:00Z").toEpochMilli();
        assertEquals("2024-12", format.deserialize(trip("2024-12", first)).getString(1).toString());
        assertUndecodable(
                format,
                trip("2024-12", first - 1),
                "month '2024-12' is not a month from 2009-01 to 2024-11, the month of sent_at");
    }

    /** The month is a partition of the table, and is written into SQL and paths. */
    @Test
    void whatIsNoMonthOfTheRangeIsTheReason() throws Exception {
        QuarantineDeserializationSchema format = format();
        List<String> months =
                List.of("2008-12", "2031-05", "2019-13", "2019-00", "2019-1", "", " 2019-01", "2019-01\n", "+2019-01",
                        "٢٠١٩-01", "x' OR '1'='1", "-001-01");
        for (String month : months) {
            byte[] message = trip(month, SENT_AT);
            String reason = "month '" + month + "' is not a month from 2009-01 to 2023-11, the month of sent_at";
            RowData row = assertUndecodable(format, message, reason);
            assertArrayEquals(message, row.getBinary(VALUE));
        }
        assertUndecodable(format, trip("2019-01", -1L), "from 2009-01 to 1969-12, the month of sent_at");
        assertUndecodable(format, trip("9999-12", Long.MIN_VALUE), "'9999-12' is not a month");
        String endless = "9".repeat(10_000);
        assertEquals(500, format.deserialize(trip(endless, SENT_AT)).getString(REASON).toString().length());
    }

    @Test
    void bytesThatAreNotAvroAreKeptWithTheReason() throws Exception {
        QuarantineDeserializationSchema format = format();
        for (byte[] message : List.of(new byte[0], "{\"id\": 1}".getBytes(), new byte[] {0, 0, 0, 0})) {
            RowData row = assertUndecodable(format, message, "Not in the schema registry's framing");
            assertArrayEquals(message, row.getBinary(VALUE));
        }
        assertTrue(assertUndecodable(format, null, "The record has no value").isNullAt(VALUE));
    }

    @Test
    void aSchemaThatIsUnknownOrNotAvroIsTheReason() throws Exception {
        registry.register(4, "JSON", "{}");
        registry.register(5, "\"string\"");
        QuarantineDeserializationSchema format = format();
        assertUndecodable(format, frame(77, new byte[] {2, 65}), "Schema 77 is unknown to the schema registry");
        assertUndecodable(format, frame(4, new byte[] {2, 65}), "Schema 4 is of type JSON");
        assertUndecodable(format, frame(5, new byte[] {2, 65}), "it is not a record, but string");
    }

    @Test
    void aSchemaThatDoesNotFitTheTableIsTheReason() throws Exception {
        String other = "{\"type\": \"record\", \"name\": \"Other\", \"fields\": [{\"name\": \"x\", \"type\": \"int\"}]}";
        registry.register(6, other);
        String micros = SCHEMA.replace("timestamp-millis", "timestamp-micros");
        registry.register(7, micros);
        String text = SCHEMA.replace("[\"null\", \"double\"], \"default\": null", "\"string\"");
        registry.register(8, text);
        QuarantineDeserializationSchema format = format();
        assertUndecodable(format, frame(6, new byte[] {2}), "it has no field id");
        assertUndecodable(format, trip(7, micros, 1.0), "field sent_at should have the logical type timestamp-millis");
        assertUndecodable(format, trip(8, text, "much"), "Schema 8 does not fit the value");
        assertEquals(1.0, format.deserialize(trip(1, SCHEMA, 1.0)).getDouble(FARE));
    }

    @Test
    void aValueThatIsCutOffOrTooLongIsTheReasonAndTheNextIsReadAgain() throws Exception {
        QuarantineDeserializationSchema format = format();
        byte[] whole = trip(1, SCHEMA, 3.0);
        for (int length = 5; length < whole.length; length++) {
            assertUndecodable(format, java.util.Arrays.copyOf(whole, length), "Schema 1 does not fit the value");
        }
        assertUndecodable(format, java.util.Arrays.copyOf(whole, whole.length + 1), "Schema 1 ends before the value does");
        assertEquals(3.0, format.deserialize(whole).getDouble(FARE));
    }

    /** A length read from random bytes must not cause an allocation that ends the TaskManager. */
    @Test
    void randomBytesAfterAKnownSchemaIdEndNothing() throws Exception {
        QuarantineDeserializationSchema format = format();
        Random random = new Random(7);
        for (int round = 0; round < 20_000; round++) {
            byte[] bytes = new byte[random.nextInt(40)];
            random.nextBytes(bytes);
            format.deserialize(frame(1, bytes));
        }
        byte[] twoGigabytes = {(byte) 0xf0, (byte) 0xff, (byte) 0xff, (byte) 0xff, 0x0f, 65};
        assertUndecodable(format, frame(1, twoGigabytes), "Schema 1 does not fit the value");
        assertEquals(3.0, format.deserialize(trip(1, SCHEMA, 3.0)).getDouble(FARE));
    }

    @Test
    void aRegistryThatFailsEndsTheJob() throws Exception {
        registry.failWith(500);
        IOException refused = assertThrows(IOException.class, () -> format().deserialize(trip(1, SCHEMA, 1.0)));
        assertTrue(refused.getMessage().contains(registry.url()), refused.getMessage());
        registry.failWith(401);
        assertThrows(IOException.class, () -> format().deserialize(trip(1, SCHEMA, 1.0)));
        registry.close();
        assertThrows(IOException.class, () -> format().deserialize(trip(1, SCHEMA, 1.0)));
    }

    @Test
    void aTableWithoutTheColumnsForUndecodableMessagesIsRefused() {
        List<String> required = List.of("id");
        assertThrows(ValidationException.class, () -> TableColumns.of(TABLE, required, "why", "value"));
        assertThrows(ValidationException.class, () -> TableColumns.of(TABLE, required, "reason", "fare"));
        assertThrows(ValidationException.class, () -> TableColumns.of(TABLE, List.of("no"), "reason", "value"));
    }

    @Test
    void aRuleForAColumnThatIsNotRequiredOrOfAnotherTypeIsRefused() {
        TableColumns columns = TableColumns.of(TABLE, REQUIRED, "reason", "value");
        assertThrows(ValidationException.class, () -> MonthRule.of(columns, "no", "sent_at", "2009-01"));
        assertThrows(ValidationException.class, () -> MonthRule.of(columns, "sent_at", "month", "2009-01"));
        assertThrows(ValidationException.class, () -> MonthRule.of(columns, "month", "sent_at", "2009"));
        TableColumns optional = TableColumns.of(TABLE, List.of("id", "sent_at"), "reason", "value");
        assertThrows(ValidationException.class, () -> MonthRule.of(optional, "month", "sent_at", "2009-01"));
    }

    private QuarantineDeserializationSchema format() throws Exception {
        TableColumns columns = TableColumns.of(TABLE, REQUIRED, "reason", "value");
        MonthRule monthRule = MonthRule.of(columns, "month", "sent_at", "2009-01");
        // A job's parts are serialized on their way to the TaskManager.
        QuarantineDeserializationSchema format =
                InstantiationUtil.clone(
                        new QuarantineDeserializationSchema(columns, monthRule, registry.url(), null));
        format.open(null);
        return format;
    }

    private static RowData assertUndecodable(QuarantineDeserializationSchema format, byte[] message, String reason)
            throws IOException {
        RowData row = format.deserialize(message);
        for (int place = 0; place < REASON; place++) {
            assertTrue(row.isNullAt(place), row::toString);
        }
        String found = row.getString(REASON).toString();
        assertTrue(found.contains(reason), found);
        return row;
    }

    private static byte[] trip(int schemaId, String avroSchema, Object fare) throws IOException {
        return trip(schemaId, avroSchema, "2023-11", SENT_AT, fare == null ? Map.of() : Map.of("fare", fare));
    }

    private static byte[] trip(String month, long sentAt) throws IOException {
        return trip(1, SCHEMA, month, sentAt, Map.of());
    }

    private static byte[] trip(int schemaId, String avroSchema, String month, long sentAt, Map<String, Object> others)
            throws IOException {
        Schema schema = new Schema.Parser().parse(avroSchema);
        GenericData.Record record = new GenericData.Record(schema);
        record.put("id", "trip-1");
        record.put("month", month);
        record.put("sent_at", sentAt);
        others.forEach(record::put);
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        BinaryEncoder encoder = EncoderFactory.get().binaryEncoder(bytes, null);
        new GenericDatumWriter<>(schema).write(record, encoder);
        encoder.flush();
        return frame(schemaId, bytes.toByteArray());
    }

    private static byte[] frame(int schemaId, byte[] bytes) {
        return ByteBuffer.allocate(5 + bytes.length).put((byte) 0).putInt(schemaId).put(bytes).array();
    }
}
