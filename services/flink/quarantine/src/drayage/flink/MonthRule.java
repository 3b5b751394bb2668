package drayage.flink;

import java.io.Serializable;
import java.time.DateTimeException;
import java.time.Instant;
import java.time.YearMonth;
import java.time.ZoneOffset;
import java.util.regex.Pattern;
import org.apache.flink.table.api.ValidationException;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.types.logical.LogicalType;
import org.apache.flink.table.types.logical.LogicalTypeRoot;
import org.apache.flink.table.types.logical.RowType;

/**
 * The rule that a record's month, {@code yyyy-MM}, is not before the first month, nor after the one in which the record
 * was sent (UTC). The table is partitioned by this month: without the rule, any sender could create any partition.
 *
 * @param monthColumn the name of the month's column
 * @param monthPlace its position in the record
 * @param sentAtColumn the name of the column with the time of sending
 * @param sentAtPlace its position in the record
 * @param first the first month
 */
record MonthRule(String monthColumn, int monthPlace, String sentAtColumn, int sentAtPlace, YearMonth first)
        implements Serializable {

    private static final Pattern MONTH = Pattern.compile("\\d{4}-\\d{2}");
    private static final int PRECISION = 3;

    static MonthRule of(TableColumns columns, String monthColumn, String sentAtColumn, String firstMonth) {
        YearMonth first = parse(firstMonth);
        if (first == null) {
            throw new ValidationException("first-month must be a month such as 2009-01, but is '" + firstMonth + "'");
        }
        RowType record = columns.recordType();
        return new MonthRule(
                monthColumn,
                find(record, monthColumn, LogicalTypeRoot.VARCHAR),
                sentAtColumn,
                find(record, sentAtColumn, LogicalTypeRoot.TIMESTAMP_WITHOUT_TIME_ZONE),
                first);
    }

    /** Returns the reason why the record's month is none, or null. */
    String findFault(RowData record) {
        String text = record.getString(monthPlace).toString();
        long sentAt = record.getTimestamp(sentAtPlace, PRECISION).getMillisecond();
        YearMonth month = parse(text);
        if (month != null && !month.isBefore(first) && sentAt >= firstMillisecond(month)) {
            return null;
        }
        YearMonth last = YearMonth.from(Instant.ofEpochMilli(sentAt).atOffset(ZoneOffset.UTC));
        return "%s '%s' is not a month from %s to %s, the month of %s"
                .formatted(monthColumn, text, first, last, sentAtColumn);
    }

    private static YearMonth parse(String text) {
        if (!MONTH.matcher(text).matches()) {
            return null;
        }
        try {
            return YearMonth.parse(text);
        } catch (DateTimeException error) {
            return null;
        }
    }

    private static long firstMillisecond(YearMonth month) {
        return month.atDay(1).atStartOfDay(ZoneOffset.UTC).toInstant().toEpochMilli();
    }

    private static int find(RowType record, String column, LogicalTypeRoot root) {
        int place = record.getFieldIndex(column);
        LogicalType type = place < 0 ? null : record.getTypeAt(place);
        if (type == null || type.getTypeRoot() != root || type.isNullable()) {
            throw new ValidationException(
                    "The table must have a required column " + column + " of type " + root + ", but has " + record);
        }
        return place;
    }
}
