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
	case event[ValuesOutOfRange].Set:
		return "value_out_of_range"
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
		CbdCongestionFee,
	}
)

// Clean makes silver's trip from a valid event; trip is a row of SilverColumns.
//
// It returns the id, which is made from the natural key and left out of the row. The row shares the event's texts.
func Clean(event []rows.Value, trip []rows.Value) rows.Key {
	copy(trip, []rows.Value{
		TripEventID: event[EventID], TripVendorID: coded(event[VendorID], event[VendorName], vendors),
		TripPassengerCount: event[PassengerCount],
		TripDistanceMiles:  event[TripDistance], TripStoreAndForwardFlag: event[StoreAndFwdFlag],
		TripPickupDate: {Set: true, Int: floorDays(event[PickupAt].Int)},
		TripPickupAt:   event[PickupAt], TripDropoffAt: event[DropoffAt],
		TripRateCodeID: event[RatecodeID], TripPickupLocationID: event[PULocationID],
		TripDropoffLocationID: event[DOLocationID],
		TripPaymentTypeID:     coded(event[PaymentType], event[PaymentName], payments),
		TripPickupLongitude:   event[PickupLongitude], TripPickupLatitude: event[PickupLatitude],
		TripDropoffLongitude: event[DropoffLongitude], TripDropoffLatitude: event[DropoffLatitude],
		TripIngestedAt: event[IngestedAt],
	})
	for place, amount := range amounts {
		trip[TripFare+place] = cents(event[amount])
	}
	return naturalKey(event, trip)
}

// Codes of the texts that files had before vendors and payments were numbered.
//
// Source: docs/tlc-files.md.
var (
	vendors  = map[string]int64{"CMT": 1, "VTS": 2}
	payments = map[string]int64{
		"CREDIT": 1, "CRD": 1, "CRE": 1, "CASH": 2, "CSH": 2, "CAS": 2, "NO CHARGE": 3, "NOC": 3, "NO": 3,
		"DISPUTE": 4, "DIS": 4, "UNK": 5, "UNKNOWN": 5, "NA": 5,
	}
)

// coded returns the number, or else the code of the text.
func coded(number, text rows.Value, codes map[string]int64) rows.Value {
	if number.Set || !text.Set {
		return number
	}
	code, known := codes[strings.ToUpper(strings.Trim(string(text.Text), " "))]
	return rows.Value{Set: known, Int: code}
}

// IsRounded tells whether an amount of an event has more than two decimals, which silver rounds.
func IsRounded(event []rows.Value) bool {
	for _, place := range amounts {
		cents := event[place].Float * 100
		if event[place].Set && math.Abs(cents-math.Round(cents)) > mostError {
			return true
		}
	}
	return false
}

// mostError is how far a whole number of cents may be from one as a binary fraction.
const mostError = 1e-6

// naturalKey returns trip_id: the MD5 of seven texts.
//
// Source: the head of sql/flink/silver_clean.sql.
func naturalKey(event, trip []rows.Value) rows.Key {
	texts := []string{
		vendor(event), orNothing(trip[TripPickupAt], clock), orNothing(trip[TripDropoffAt], clock),
		location(event[PULocationID], event[PickupLongitude], event[PickupLatitude]),
		location(event[DOLocationID], event[DropoffLongitude], event[DropoffLatitude]),
		orNothing(trip[TripFare], Dollars), orNothing(trip[TripTotal], Dollars),
	}
	return md5.Sum([]byte(strings.Join(texts, "|"))) //nolint:gosec // as above
}

const nothing = "~"

func orNothing(value rows.Value, write func(int64) string) string {
	if !value.Set {
		return nothing
	}
	return write(value.Int)
}

func decimal(number int64) string { return strconv.FormatInt(number, 10) }

func vendor(event []rows.Value) string {
	if event[VendorID].Set || !event[VendorName].Set {
		return orNothing(event[VendorID], decimal)
	}
	return strings.NewReplacer("|", "_", nothing, "_").Replace(string(event[VendorName].Text))
}

// location is a zone's number, or else longitude and latitude in millionths of a degree.
func location(zone, longitude, latitude rows.Value) string {
	if zone.Set || !longitude.Set && !latitude.Set {
		return orNothing(zone, decimal)
	}
	return microdegrees(longitude) + "," + microdegrees(latitude)
}

func microdegrees(degrees rows.Value) string {
	if !degrees.Set || !(math.Abs(degrees.Float) <= mostDegrees) {
		return nothing
	}
	return decimal(int64(math.Floor(degrees.Float*1e6 + 0.5)))
}

// mostDegrees bounds what is written in millionths of a degree: some files hold nonsense.
const mostDegrees = 1e6

// firstMonth is the first month that the TLC has published.
const firstMonth = "2009-01"

// IsOfKnownMonth tells whether an event names a month from 2009 up to the month in which it was sent; others are kept as
// undecodable records.
func IsOfKnownMonth(event []rows.Value) bool {
	named := string(event[TripMonth].Text)
	if _, err := time.Parse("2006-01", named); err != nil {
		return false
	}
	return named >= firstMonth && named <= time.UnixMicro(event[SentAt].Int).UTC().Format("2006-01")
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
