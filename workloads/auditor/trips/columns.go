// Package trips has the columns of a taxi trip in each layer, and the documented rules that lead from one to the next.
package trips

import (
	"drayage/workloads/auditor/lake"
	"drayage/workloads/auditor/topic"
)

// The columns of an event, by their positions in a row.
const (
	EventID = iota
	TripMonth
	SentAt
	VendorID
	PickupAt
	DropoffAt
	PassengerCount
	TripDistance
	RatecodeID
	StoreAndFwdFlag
	PULocationID
	DOLocationID
	PaymentType
	FareAmount
	Extra
	MTATax
	TipAmount
	TollsAmount
	ImprovementSurcharge
	TotalAmount
	CongestionSurcharge
	AirportFee
	CbdCongestionFee
	VendorName
	PaymentName
	PickupLongitude
	PickupLatitude
	DropoffLongitude
	DropoffLatitude
	UnknownColumns
	ValuesOutOfRange
	SourceVersion
	EventColumns
)

// The columns that bronze adds to an event.
const (
	KafkaTopicID = EventColumns + iota
	KafkaPartition
	KafkaOffset
	IngestedAt
	UndecodableReason
	UndecodableValue
	BronzeColumns
)

// Event has an event's columns in the topic.
var Event = []topic.Column{
	{Name: "event_id", Kind: topic.Text, Required: true},
	{Name: "trip_month", Kind: topic.Text, Required: true},
	{Name: "sent_at", Kind: topic.Time, Required: true},
	{Name: "VendorID", Kind: topic.Long},
	{Name: "tpep_pickup_datetime", Kind: topic.Time},
	{Name: "tpep_dropoff_datetime", Kind: topic.Time},
	{Name: "passenger_count", Kind: topic.Long},
	{Name: "trip_distance", Kind: topic.Double},
	{Name: "RatecodeID", Kind: topic.Long},
	{Name: "store_and_fwd_flag", Kind: topic.Text},
	{Name: "PULocationID", Kind: topic.Long},
	{Name: "DOLocationID", Kind: topic.Long},
	{Name: "payment_type", Kind: topic.Long},
	{Name: "fare_amount", Kind: topic.Double},
	{Name: "extra", Kind: topic.Double},
	{Name: "mta_tax", Kind: topic.Double},
	{Name: "tip_amount", Kind: topic.Double},
	{Name: "tolls_amount", Kind: topic.Double},
	{Name: "improvement_surcharge", Kind: topic.Double},
	{Name: "total_amount", Kind: topic.Double},
	{Name: "congestion_surcharge", Kind: topic.Double},
	{Name: "Airport_fee", Kind: topic.Double},
	{Name: "cbd_congestion_fee", Kind: topic.Double},
	{Name: "vendor_name", Kind: topic.Text},
	{Name: "payment_name", Kind: topic.Text},
	{Name: "pickup_longitude", Kind: topic.Double},
	{Name: "pickup_latitude", Kind: topic.Double},
	{Name: "dropoff_longitude", Kind: topic.Double},
	{Name: "dropoff_latitude", Kind: topic.Double},
	{Name: "unknown_columns", Kind: topic.Texts},
	{Name: "values_out_of_range", Kind: topic.Texts},
	{Name: "source_version", Kind: topic.Text},
}

// Bronze returns the columns of bronze.raw_trips: an event and its origin.
func Bronze() []lake.Column {
	types := map[topic.Kind]string{
		topic.Text: "string", topic.Long: "long", topic.Double: "double", topic.Time: "timestamp", topic.Texts: lake.Texts,
	}
	var columns []lake.Column
	for _, column := range Event {
		columns = append(columns, lake.Column{Name: column.Name, Type: types[column.Kind]})
	}
	return append(columns,
		lake.Column{Name: "kafka_topic_id", Type: "string"},
		lake.Column{Name: "kafka_partition", Type: "int"},
		lake.Column{Name: "kafka_offset", Type: "long"},
		lake.Column{Name: "ingested_at", Type: "timestamp"},
		lake.Column{Name: "undecodable_reason", Type: "string"},
		lake.Column{Name: "undecodable_value", Type: "binary"},
	)
}

// The columns of a trip, by their positions in a row. Those of fct_trips come first, without its keys, because fct_trips
// replaces unlisted codes by the unknown member's.
const (
	TripID = iota
	TripEventID
	TripVendorID
	TripPassengerCount
	TripDistanceMiles
	TripStoreAndForwardFlag
	TripPickupDate
	TripPickupAt
	TripDropoffAt
	TripFare
	TripExtra
	TripMTATax
	TripTip
	TripTolls
	TripImprovementSurcharge
	TripTotal
	TripCongestionSurcharge
	TripAirportFee
	TripCbdCongestionFee
	TripPickupLongitude
	TripPickupLatitude
	TripDropoffLongitude
	TripDropoffLatitude
	FactColumns
)

// The columns that only silver has.
const (
	TripRateCodeID = FactColumns + iota
	TripPickupLocationID
	TripDropoffLocationID
	TripPaymentTypeID
	TripIngestedAt
	SilverColumns
)

const money = "decimal(10, 2)"

// Silver has the columns of silver.cleaned_trips.
var Silver = []lake.Column{
	{Name: "trip_id", Type: "string"},
	{Name: "event_id", Type: "string"},
	{Name: "vendor_id", Type: "int"},
	{Name: "passenger_count", Type: "int"},
	{Name: "trip_distance_miles", Type: "double"},
	{Name: "store_and_forward_flag", Type: "string"},
	{Name: "pickup_date", Type: "date"},
	{Name: "pickup_at", Type: "timestamp"},
	{Name: "dropoff_at", Type: "timestamp"},
	{Name: "fare_amount_usd", Type: money},
	{Name: "extra_usd", Type: money},
	{Name: "mta_tax_usd", Type: money},
	{Name: "tip_amount_usd", Type: money},
	{Name: "tolls_amount_usd", Type: money},
	{Name: "improvement_surcharge_usd", Type: money},
	{Name: "total_amount_usd", Type: money},
	{Name: "congestion_surcharge_usd", Type: money},
	{Name: "airport_fee_usd", Type: money},
	{Name: "cbd_congestion_fee_usd", Type: money},
	{Name: "pickup_longitude", Type: "double"},
	{Name: "pickup_latitude", Type: "double"},
	{Name: "dropoff_longitude", Type: "double"},
	{Name: "dropoff_latitude", Type: "double"},
	{Name: "rate_code_id", Type: "int"},
	{Name: "pickup_location_id", Type: "int"},
	{Name: "dropoff_location_id", Type: "int"},
	{Name: "payment_type_id", Type: "int"},
	{Name: "ingested_at", Type: "timestamp"},
}

// Facts has the columns that marts.fct_trips takes from silver unchanged.
var Facts = Silver[:FactColumns]
