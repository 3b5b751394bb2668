package drayage.flink;

import static org.apache.flink.configuration.ConfigOptions.key;

import java.util.List;
import java.util.Set;
import org.apache.flink.api.common.serialization.DeserializationSchema;
import org.apache.flink.configuration.ConfigOption;
import org.apache.flink.configuration.ReadableConfig;
import org.apache.flink.table.connector.ChangelogMode;
import org.apache.flink.table.connector.format.DecodingFormat;
import org.apache.flink.table.connector.source.DynamicTableSource;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.factories.DeserializationFormatFactory;
import org.apache.flink.table.factories.DynamicTableFactory;
import org.apache.flink.table.factories.FactoryUtil;
import org.apache.flink.table.types.DataType;
import org.apache.flink.table.types.logical.RowType;

/**
 * The SQL format {@value #IDENTIFIER}: Avro in the schema registry's framing, in which an undecodable message becomes a
 * row too, with the reason and the message's bytes in two columns of the table and null in the others.
 *
 * <p>With Flink's own {@code avro-confluent}, the job fails at such a message, and so does every later job.
 */
public final class QuarantineFormatFactory implements DeserializationFormatFactory {

    static final String IDENTIFIER = "avro-confluent-quarantine";

    static final ConfigOption<String> URL =
            key("url").stringType().noDefaultValue().withDescription("Root of an API like that of Confluent's registry.");
    static final ConfigOption<List<String>> REQUIRED_COLUMNS =
            key("required-columns")
                    .stringType()
                    .asList()
                    .noDefaultValue()
                    .withDescription("Columns that need a value in each message; a schema without one is refused.");
    static final ConfigOption<String> MONTH_COLUMN =
            key("month-column").stringType().noDefaultValue().withDescription("Required STRING column, yyyy-MM.");
    static final ConfigOption<String> SENT_AT_COLUMN =
            key("sent-at-column")
                    .stringType()
                    .noDefaultValue()
                    .withDescription("Required TIMESTAMP column in UTC; a month after its own is undecodable.");
    static final ConfigOption<String> FIRST_MONTH =
            key("first-month").stringType().noDefaultValue().withDescription("An earlier month is undecodable.");
    static final ConfigOption<String> REASON_COLUMN =
            key("reason-column").stringType().noDefaultValue().withDescription("STRING column for the reason.");
    static final ConfigOption<String> VALUE_COLUMN =
            key("value-column").stringType().noDefaultValue().withDescription("BYTES column for the message.");

    @Override
    public DecodingFormat<DeserializationSchema<RowData>> createDecodingFormat(
            DynamicTableFactory.Context context, ReadableConfig options) {
        FactoryUtil.validateFactoryOptions(this, options);
        return new DecodingFormat<>() {
            @Override
            public DeserializationSchema<RowData> createRuntimeDecoder(
                    DynamicTableSource.Context source, DataType physicalType) {
                TableColumns columns =
                        TableColumns.of(
                                (RowType) physicalType.getLogicalType(),
                                options.get(REQUIRED_COLUMNS),
                                options.get(REASON_COLUMN),
                                options.get(VALUE_COLUMN));
                MonthRule monthRule =
                        MonthRule.of(
                                columns, options.get(MONTH_COLUMN), options.get(SENT_AT_COLUMN), options.get(FIRST_MONTH));
                return new QuarantineDeserializationSchema(
                        columns, monthRule, options.get(URL), source.createTypeInformation(physicalType));
            }

            @Override
            public ChangelogMode getChangelogMode() {
                return ChangelogMode.insertOnly();
            }
        };
    }

    @Override
    public String factoryIdentifier() {
        return IDENTIFIER;
    }

    @Override
    public Set<ConfigOption<?>> requiredOptions() {
        return Set.of(
                URL, REQUIRED_COLUMNS, MONTH_COLUMN, SENT_AT_COLUMN, FIRST_MONTH, REASON_COLUMN, VALUE_COLUMN);
    }

    @Override
    public Set<ConfigOption<?>> optionalOptions() {
        return Set.of();
    }
}
