package trips

import (
	"encoding/hex"
	"math"
	"testing"
	"time"

	"drayage/workloads/auditor/rows"
)

func at(t *testing.T, text string) rows.Value {
	t.Helper()
	moment, err := time.Parse("2006-01-02 15:04:05.000", text)
	if err != nil {
		t.Fatal(err)
	}
	return rows.Value{Set: true, Int: moment.UnixMicro()}
}

func number(n int64) rows.Value { return rows.Value{Set: true, Int: n} }

func amount(n float64) rows.Value { return rows.Value{Set: true, Float: n} }

// valid is an event of January 2024 that breaks no rule.
func valid(t *testing.T) []rows.Value {
	t.Helper()
	event := make([]rows.Value, BronzeColumns)
	event[EventID] = rows.Value{Set: true, Text: []byte("e")}
	event[VendorID] = number(2)
	event[PickupAt], event[DropoffAt] = at(t, "2024-01-31 23:59:59.999"), at(t, "2024-02-01 00:10:00.000")
	event[TripDistance] = amount(1.5)
	event[PULocationID] = number(132)
	event[FareAmount], event[TotalAmount] = amount(7), amount(9.5)
	return event
}

func TestTheFirstBrokenRuleIsTheReason(t *testing.T) {
	month, err := ParseMonth("2024-01")
	if err != nil {
		t.Fatal(err)
	}
	if reason := month.Reject(valid(t)); reason != "" {
		t.Errorf("a valid event was rejected: %s", reason)
	}
	for want, change := range map[string]map[int]rows.Value{
		"pickup_time_missing":  {PickupAt: {}, TripDistance: {}},
		"dropoff_time_missing": {DropoffAt: {}},
		"distance_missing":     {TripDistance: {}, FareAmount: amount(-1)},
		"distance_below_zero":  {TripDistance: amount(math.Inf(-1))},
		"fare_missing":         {FareAmount: {}},
		"fare_below_zero":      {FareAmount: amount(-0.01), PickupAt: at(t, "2024-02-01 00:00:00.000")},
		"pickup_outside_month": {PickupAt: at(t, "2024-02-01 00:00:00.000"), TipAmount: amount(math.NaN())},
		"value_out_of_range":   {TipAmount: amount(-99999999.99)},
	} {
		event := valid(t)
		for place, value := range change {
			event[place] = value
		}
		if got := month.Reject(event); got != want {
			t.Errorf("expected %s, got %q", want, got)
		}
	}
	for _, strange := range []map[int]rows.Value{
		{TripDistance: amount(math.NaN())}, {TripDistance: amount(1e300)}, {FareAmount: amount(math.NaN())},
		{AirportFee: amount(math.Inf(1))}, {CbdCongestionFee: amount(1e9)},
		{ValuesOutOfRange: rows.Texts(nil), PickupAt: {}}, {PassengerCount: number(1 << 31)}, {PaymentType: number(-1<<31 - 1)},
	} {
		event := valid(t)
		for place, value := range strange {
			event[place] = value
		}
		if got := month.Reject(event); got != "value_out_of_range" {
			t.Errorf("%v: expected value_out_of_range, got %q", strange, got)
		}
	}
}

func TestATripsIDIsTheMD5OfItsNaturalKey(t *testing.T) {
	trip := make([]rows.Value, SilverColumns)
	id := Clean(valid(t), trip)
	// printf '2|2024-01-31 23:59:59.999|2024-02-01 00:10:00.000|132|~|7.00|9.50' | md5sum
	if got := hex.EncodeToString(id[:]); got != "3fb49071956f1c09a30c09a07169e530" {
		t.Errorf("got %s", got)
	}
	if day := time.Unix(trip[TripPickupDate].Int*24*3600, 0).UTC().Format("2006-01-02"); day != "2024-01-31" {
		t.Errorf("got the day %s", day)
	}
}

func TestOldFilesHaveTextsAndCoordinatesInTheirKeys(t *testing.T) {
	event := valid(t)
	event[VendorID], event[PULocationID] = rows.Value{}, rows.Value{}
	event[VendorName] = rows.Value{Set: true, Text: []byte(" vts")}
	event[PaymentName] = rows.Value{Set: true, Text: []byte("No ")}
	event[PickupLongitude], event[PickupLatitude] = amount(-73.991957), amount(40.7215675)
	event[DropoffLongitude] = amount(-1e7)
	trip := make([]rows.Value, SilverColumns)
	id := Clean(event, trip)
	// printf ' vts|2024-01-31 23:59:59.999|2024-02-01 00:10:00.000|-73991957,40721568|~,~|7.00|9.50' | md5sum
	if got := hex.EncodeToString(id[:]); got != "6557c5f7733385631f971df2133c6e66" {
		t.Errorf("got %s", got)
	}
	if trip[TripVendorID].Int != 2 || trip[TripPaymentTypeID].Int != 3 || trip[TripPickupLongitude].Float != -73.991957 {
		t.Errorf("got %v", trip)
	}
	event[VendorName].Text, event[PaymentName].Text = []byte("D|~S"), []byte("?")
	if Clean(event, trip); trip[TripVendorID].Set || trip[TripPaymentTypeID].Set {
		t.Errorf("unlisted texts have codes: %v", trip)
	}
	if got := vendor(event); got != "D__S" {
		t.Errorf("got %s", got)
	}
}

func TestOnlyMonthsFrom2009ToThatOfSendingAreKnown(t *testing.T) {
	event := valid(t)
	event[SentAt] = at(t, "2026-11-30 23:59:59.999")
	for text, known := range map[string]bool{
		"2009-01": true, "2026-11": true, "2008-12": false, "2026-12": false, "2024-13": false, "2024-1": false, "": false, "9999-01": false,
	} {
		event[TripMonth] = rows.Value{Set: true, Text: []byte(text)}
		if IsOfKnownMonth(event) != known {
			t.Errorf("%q: expected %v", text, known)
		}
	}
}

func TestAmountsWithMoreThanTwoDecimalsAreRounded(t *testing.T) {
	for written, rounded := range map[float64]bool{9.4: false, 0.30000000000000004: false, 10.005: true, -0.001: true, 99999999.98: false} {
		event := valid(t)
		event[TollsAmount] = amount(written)
		if IsRounded(event) != rounded {
			t.Errorf("%v: expected %v", written, rounded)
		}
	}
}

func TestMoneyIsRoundedHalfUpFromItsShortestText(t *testing.T) {
	for written, want := range map[float64]string{
		7: "7.00", 0.285: "0.29", 1.005: "1.01", 2.675: "2.68", -3.145: "-3.15", 0.0049: "0.00", -0.001: "0.00",
		99999999.984: "99999999.98", 1e-7: "0.00", 12.3: "12.30",
	} {
		if got := Dollars(cents(amount(written)).Int); got != want {
			t.Errorf("%v: expected %s, got %s", written, want, got)
		}
	}
}

func TestYearsAreFormattedAsInJava(t *testing.T) {
	for micros, want := range map[int64]string{
		0:  "1970-01-01 00:00:00.000",
		-1: "1969-12-31 23:59:59.999",
		time.Date(12345, 6, 7, 8, 9, 10, 11e6, time.UTC).UnixMicro(): "+12345-06-07 08:09:10.011",
		time.Date(-4, 1, 2, 0, 0, 0, 0, time.UTC).UnixMicro():        "0005-01-02 00:00:00.000",
	} {
		if got := clock(micros); got != want {
			t.Errorf("expected %s, got %s", want, got)
		}
	}
}

func TestWhatIsNotAMonthIsRefused(t *testing.T) {
	for _, text := range []string{"", "2024", "2024-13", "2024-01-01"} {
		if _, err := ParseMonth(text); err == nil {
			t.Errorf("%q was accepted as a month", text)
		}
	}
}
