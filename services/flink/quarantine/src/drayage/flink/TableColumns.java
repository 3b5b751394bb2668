package drayage.flink;

import java.io.Serializable;
import java.util.ArrayList;
import java.util.List;
import org.apache.flink.table.api.ValidationException;
import org.apache.flink.table.data.GenericRowData;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.data.StringData;
import org.apache.flink.table.types.logical.LogicalType;
import org.apache.flink.table.types.logical.LogicalTypeRoot;
import org.apache.flink.table.types.logical.RowType;

/**
 * The columns of the table: those of the Avro record, and the two for an undecodable message.
 *
 * @param recordType the record's columns; those that are not nullable are required
 * @param places the position in the table of each column of the record
 * @param reasonPlace the position of the reason
 * @param valuePlace the position of the message's bytes
 */
record TableColumns(RowType recordType, int[] places, int reasonPlace, int valuePlace) implements Serializable {

    static TableColumns of(RowType table, List<String> required, String reasonColumn, String valueColumn) {
        int reasonPlace = find(table, reasonColumn, LogicalTypeRoot.VARCHAR);
        int valuePlace = find(table, valueColumn, LogicalTypeRoot.VARBINARY);
        if (!table.getFieldNames().containsAll(required)) {
            throw new ValidationException(
                    "required-columns names " + required + ", but the table has the columns " + table.getFieldNames());
        }
        List<RowType.RowField> fields = new ArrayList<>();
        List<Integer> places = new ArrayList<>();
        for (int place = 0; place < table.getFieldCount(); place++) {
            if (place == reasonPlace || place == valuePlace) {
                continue;
            }
            RowType.RowField field = table.getFields().get(place);
            if (!field.getType().isNullable()) {
                throw new ValidationException(
                        "Column " + field.getName() + " must allow NULL: it is NULL in the row of an undecodable message");
            }
            LogicalType type = field.getType().copy(!required.contains(field.getName()));
            fields.add(new RowType.RowField(field.getName(), type));
            places.add(place);
        }
        return new TableColumns(
                new RowType(false, fields), places.stream().mapToInt(Integer::intValue).toArray(), reasonPlace, valuePlace);
    }

    RowData decoded(GenericRowData record) {
        GenericRowData row = new GenericRowData(places.length + 2);
        for (int column = 0; column < places.length; column++) {
            row.setField(places[column], record.getField(column));
        }
        return row;
    }

    RowData undecodable(byte[] message, String reason) {
        GenericRowData row = new GenericRowData(places.length + 2);
        row.setField(reasonPlace, StringData.fromString(reason));
        row.setField(valuePlace, message);
        return row;
    }

    private static int find(RowType table, String column, LogicalTypeRoot root) {
        int place = table.getFieldIndex(column);
        if (place < 0 || table.getTypeAt(place).getTypeRoot() != root || !table.getTypeAt(place).isNullable()) {
            throw new ValidationException(
                    "The table must have a column " + column + " of type " + root + " that allows NULL, but has " + table);
        }
        return place;
    }
}
