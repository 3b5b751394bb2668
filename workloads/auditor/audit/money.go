package audit

import (
	"context"
	"errors"
	"fmt"
	"time"

	"drayage/workloads/auditor/lake"
	"drayage/workloads/auditor/rows"
	"drayage/workloads/auditor/trips"
)

// The sums of each day: trips, and amounts in cents.
const (
	count = iota
	fare
	tip
	tolls
	total
	sums
)

var sumNames = [sums]string{"trips", "fare_amount_usd", "tip_amount_usd", "tolls_amount_usd", "total_amount_usd"}

// money holds each day's sums, by days since 1970.
type money map[int64]*[sums]int64

// add adds a trip, as silver and fct_trips hold it.
func (m money) add(trip []rows.Value) error {
	return m.addAll(trip[trips.TripPickupDate].Int, [sums]int64{
		1, trip[trips.TripFare].Int, trip[trips.TripTip].Int, trip[trips.TripTolls].Int, trip[trips.TripTotal].Int,
	})
}

func (m money) addAll(day int64, values [sums]int64) error {
	of, ok := m[day]
	if !ok {
		of = &[sums]int64{}
		m[day] = of
	}
	for place, value := range values {
		sum := of[place] + value
		if (value > 0) != (sum > of[place]) && value != 0 {
			return errors.New("a day's amounts add up to more than 64 bits of cents")
		}
		of[place] = sum
	}
	return nil
}

// total adds up all days.
func (m money) total() [sums]int64 {
	var all [sums]int64
	for _, day := range m {
		for place, value := range day {
			all[place] += value
		}
	}
	return all
}

func readRevenue(ctx context.Context, job Job) (money, error) {
	revenue := money{}
	columns := []lake.Column{{Name: "pickup_date", Type: "date"}, {Name: "trips", Type: "long"}}
	for _, name := range sumNames[fare:] {
		columns = append(columns, lake.Column{Name: name, Type: "decimal(18, 2)"})
	}
	err := job.Tables.DailyRevenue.Scan(ctx, monthOf(job), columns, func(row []rows.Value) error {
		return revenue.addAll(row[0].Int, [sums]int64{row[1].Int, row[2].Int, row[3].Int, row[4].Int, row[5].Int})
	})
	return revenue, err
}

func checkMoney(silver, facts, revenue money, month trips.Month) Check {
	check := newCheck("money_is_the_same_everywhere", month)
	layers := []struct {
		name, label string
		money
	}{{"silver.cleaned_trips", "silver_usd", silver}, {"marts.fct_trips", "fct_trips_usd", facts}, {"marts.daily_revenue", "daily_revenue_usd", revenue}}
	days := map[int64]bool{}
	for _, layer := range layers {
		// Text, because a float would not be exact.
		check.number(layer.label, trips.Dollars(layer.total()[total]))
		for day := range layer.money {
			days[day] = true
		}
	}
	check.number("days", int64(len(days)))
	var differing examples
	for _, day := range sortedKeys(days) {
		for _, layer := range layers[1:] {
			if difference := differ(silver[day], layer.money[day]); difference != "" {
				differing.add(fmt.Sprintf("%s: silver.cleaned_trips and %s have %s",
					time.Unix(day*24*3600, 0).UTC().Format(time.DateOnly), layer.name, difference))
				break
			}
		}
	}
	check.fault("days_differing", differing, "days have different sums in the marts and in silver")
	check.todo("Run the job build_marts for the month.")
	return check.done(fmt.Sprintf("%s US dollars in silver, fct_trips and daily_revenue, and the same on each of %d days.",
		trips.Dollars(silver.total()[total]), len(days)))
}

// differ returns the first sum in which two days differ; "" if they are equal.
func differ(one, other *[sums]int64) string {
	if one == nil {
		one = &[sums]int64{}
	}
	if other == nil {
		other = &[sums]int64{}
	}
	for place := range sums {
		if one[place] != other[place] {
			write := trips.Dollars
			if place == count {
				write = func(trips int64) string { return fmt.Sprint(trips) }
			}
			return fmt.Sprintf("%s %s and %s", sumNames[place], write(one[place]), write(other[place]))
		}
	}
	return ""
}
