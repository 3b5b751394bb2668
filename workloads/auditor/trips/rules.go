package trips

import (
	"crypto/md5" //nolint:gosec // the documented form of trip_id, not a secret
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"drayage/workloads/auditor/rows"
)

// Bounds of the values that fit silver's columns.
const (
	mostMoney = 99999999.99
	mostMiles = 1e300
)

// Month is a month of wall clock time.
type Month struct {
	Text             string
	first, firstNext int64 // microseconds since 1970
}

// ParseMonth parses a month such as 2024-01.
func ParseMonth(text string) (Month, error) {
	first, err := time.Parse("2006-01", text)
	if err != nil {
		return Month{}, fmt.Errorf("%q is not a month such as 2024-01: audit a single monthly partition", text)
	}
	return Month{text, first.UnixMicro(), first.AddDate(0, 1, 0).UnixMicro()}, nil
}

// Reject returns the first rule that an event breaks, in the words of silver.rejected_trips; "" for a valid trip.
//
// Source: the head of sql/flink/silver_clean.sql.
func (m Month) Reject(event []rows.Value) string {
	pickup, dropoff, distance, fare := event[PickupAt], event[DropoffAt], event[TripDistance], event[FareAmount]
	switch {
	case !pickup.Set:
		return "pickup_time_missing"
	case !dropoff.Set:
		return "dropoff_time_missing"
	case !distance.Set:
		return "distance_missing"
	case distance.Float < 0:
		return "distance_below_zero"
	case !fare.Set:
		return "fare_missing"
	case fare.Float < 0:
		return "fare_below_zero"
	case pickup.Int < m.first || pickup.Int >= m.firstNext:
		return "pickup_outside_month"
	case !fits(event):
		return "value_out_of_range"
	}
	return ""
}

func fits(event []rows.Value) bool {
	for _, place := range wholeNumbers {
		if event[place].Set && (event[place].Int < math.MinInt32 || event[place].Int > math.MaxInt32) {
			return false
		}
	}
	for _, place := range amounts {
		// Negated, because every comparison with not-a-number is false.
		if event[place].Set && !(math.Abs(event[place].Float) < mostMoney) {
			return false
		}
	}
	return event[TripDistance].Float < mostMiles
}

var (
	wholeNumbers = []int{VendorID, PassengerCount, RatecodeID, PULocationID, DOLocationID, PaymentType}
	amounts      = []int{
		FareAmount, Extra, MTATax, TipAmount, TollsAmount, ImprovementSurcharge, TotalAmount, CongestionSurcharge, AirportFee,
	}
)

// Clean makes silver's trip from a valid event; trip is a row of SilverColumns.
//
// It returns the id, which is made from the natural key and left out of the row. The row shares the event's texts.
func Clean(event []rows.Value, trip []rows.Value) rows.Key {
	copy(trip, []rows.Value{
		TripEventID: event[EventID], TripVendorID: event[VendorID], TripPassengerCount: event[PassengerCount],
		TripDistanceMiles: event[TripDistance], TripStoreAndForwardFlag: event[StoreAndFwdFlag],
		TripPickupDate: {Set: true, Int: floorDays(event[PickupAt].Int)},
		TripPickupAt:   event[PickupAt], TripDropoffAt: event[DropoffAt],
		TripRateCodeID: event[RatecodeID], TripPickupLocationID: event[PULocationID],
		TripDropoffLocationID: event[DOLocationID], TripPaymentTypeID: event[PaymentType], TripIngestedAt: event[IngestedAt],
	})
	for place, amount := range amounts {
		trip[TripFare+place] = cents(event[amount])
	}
	return naturalKey(trip)
}

// naturalKey returns trip_id: the MD5 of seven texts.
//
// Source: the head of sql/flink/silver_clean.sql.
func naturalKey(trip []rows.Value) rows.Key {
	var text strings.Builder
	for number, place := range []int{
		TripVendorID, TripPickupAt, TripDropoffAt, TripPickupLocationID, TripDropoffLocationID, TripFare, TripTotal,
	} {
		if number > 0 {
			text.WriteByte('|')
		}
		switch value := trip[place]; {
		case !value.Set:
			text.WriteByte('~')
		case place == TripPickupAt || place == TripDropoffAt:
			text.WriteString(clock(value.Int))
		case place == TripFare || place == TripTotal:
			text.WriteString(Dollars(value.Int))
		default:
			text.WriteString(strconv.FormatInt(value.Int, 10))
		}
	}
	return md5.Sum([]byte(text.String())) //nolint:gosec // as above
}

// clock formats a time like Java's pattern yyyy-MM-dd HH:mm:ss.SSS, in which the year is the year of the era.
//
// Source: java.time.format.DateTimeFormatter, "Patterns for Formatting and Parsing".
func clock(micros int64) string {
	moment := time.UnixMicro(micros).UTC()
	year, sign := moment.Year(), ""
	if year <= 0 {
		year = 1 - year
	}
	if year > 9999 {
		sign = "+"
	}
	return fmt.Sprintf("%s%04d%s", sign, year, moment.Format("-01-02 15:04:05.000"))
}

func floorDays(micros int64) int64 {
	const day = 24 * 3600 * 1_000_000
	days := micros / day
	if micros%day < 0 {
		days--
	}
	return days
}

// cents rounds an amount half up, from its shortest decimal text: 0.285 is 0.29, although its binary value is below 0.285.
func cents(amount rows.Value) rows.Value {
	if !amount.Set {
		return rows.Value{}
	}
	dollars, fraction, _ := strings.Cut(strconv.FormatFloat(math.Abs(amount.Float), 'f', -1, 64), ".")
	fraction = (fraction + "000")[:max(3, len(fraction))]
	number, err := strconv.ParseInt(dollars+fraction[:2], 10, 64)
	if err != nil {
		return rows.Value{} // out of bounds: such an event is rejected earlier
	}
	if fraction[2] >= '5' {
		number++
	}
	if amount.Float < 0 {
		number = -number
	}
	return rows.Value{Set: true, Int: number}
}

// Dollars formats cents as dollars with two decimals.
func Dollars(cents int64) string {
	sign := ""
	if cents < 0 {
		sign, cents = "-", -cents
	}
	return fmt.Sprintf("%s%d.%02d", sign, cents/100, cents%100)
}
