// The conformance program: it runs each scenario of docs/workload-contract.md.
package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	pipes "drayage/writers/go"
)

const text = "quote \" backslash \\ newline \n tab \t umlaut ü euro € smile 😀"

type object = map[string]any
type list = []any

func main() { pipes.Run(program) }

func program(session *pipes.Session) error {
	scenario, _ := session.Context.Extras["drayage/scenario"].(string)
	run, known := map[string]func(*pipes.Session) error{
		"context": context, "metadata": metadata, "checks": checks, "logs": logs, "custom": custom,
		"partitions": partitions, "streams": streams, "large": large, "many": many,
		"exception": exception, "sigterm": sigterm, "secret": secret,
	}[scenario]
	if !known {
		return fmt.Errorf("unknown scenario %q", scenario)
	}
	return run(session)
}

func context(session *pipes.Session) error {
	fmt.Println(session.Context.Extras["text"])
	err := session.Custom(object{"context": session.Context})
	for _, asset := range session.Context.AssetKeys {
		err = errors.Join(err, session.Materialize(asset, "", nil))
	}
	return err
}

func metadata(session *pipes.Session) error {
	return session.Materialize("", "v1", pipes.Metadata{
		"text":      text,
		"url":       pipes.Typed("url", "https://example.org/a?b=c&d"),
		"path":      pipes.Typed("path", "/data/a.parquet"),
		"notebook":  pipes.Typed("notebook", "/data/a.ipynb"),
		"md":        pipes.Typed("md", "**bold**"),
		"json":      pipes.Typed("json", object{"a": list{1, nil, true}}),
		"int":       int64(9007199254740991),
		"float":     0.1,
		"whole":     pipes.Typed("float", 3.0),
		"million":   pipes.Typed("float", 1e6),
		"bool":      true,
		"null":      nil,
		"timestamp": pipes.Typed("timestamp", 1704067200.5),
		"run":       pipes.Typed("dagster_run", session.Context.RunID),
		"asset":     pipes.Typed("asset", "silver/cleaned_trips"),
		"inferred":  list{1, "a"},
		"table": pipes.Typed("table", object{
			"records": list{object{"day": "2024-01-01", "trips": 2}, object{"day": "2024-01-02", "trips": nil}},
			"schema":  list{object{"name": "day", "type": "date"}, object{"name": "trips", "type": "int"}},
		}),
		"schema": pipes.Typed("table_schema", object{"columns": list{
			object{
				"name": "fare", "type": "decimal", "description": "What was paid", "tags": object{"unit": "usd"},
				"constraints": object{"nullable": false, "unique": false, "other": list{"> 0"}},
			},
			object{"name": "note", "type": "text"},
		}}),
		"lineage": pipes.Typed("table_column_lineage", object{"deps_by_column": object{"fare": list{
			object{"asset_key": list{"silver", "cleaned_trips"}, "column_name": "fare_amount"},
			object{"asset_key": list{"silver", "cleaned_trips"}, "column_name": "tip"},
		}}}),
	})
}

func checks(session *pipes.Session) error {
	return errors.Join(
		session.Check("", "whole", true, "ERROR", pipes.Metadata{"rows": 3}),
		session.Check("", "fresh", false, "WARN", pipes.Metadata{"age_s": 1.5}),
		session.Materialize("", "", nil),
	)
}

func logs(session *pipes.Session) error {
	fmt.Println("to stdout")
	fmt.Fprintln(os.Stderr, "to stderr")
	var err error
	for _, level := range []string{"DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"} {
		err = errors.Join(err, session.Log(level, level+" "+text))
	}
	return errors.Join(err, session.Materialize("", "", nil))
}

func custom(session *pipes.Session) error {
	var err error
	for _, payload := range (list{nil, true, 7, 0.5, text, list{1, list{2}}, object{"kind": "own", "a": object{"b": nil}}}) {
		err = errors.Join(err, session.Custom(payload))
	}
	return errors.Join(err, session.Progress("", pipes.Metadata{"rows": 1}), session.Materialize("", "", nil))
}

func partitions(session *pipes.Session) error {
	var err error
	for _, asset := range session.Context.AssetKeys {
		for number, key := range session.Context.Extras["partitions"].(list) {
			err = errors.Join(err, session.PartitionMetadata(asset, key.(string), pipes.Metadata{"number": number}))
		}
		err = errors.Join(err, session.Progress(asset, pipes.Metadata{"rows": 1}), session.Materialize(asset, "", nil))
	}
	return err
}

func streams(session *pipes.Session) error {
	return errors.Join(
		session.ExternalStream("stdout", "stdout "+text),
		session.ExternalStream("stderr", "stderr "+text),
		session.Materialize("", "", nil),
	)
}

func large(session *pipes.Session) error {
	characters := int(session.Context.Extras["characters"].(float64))
	length := len(session.Context.Extras["padding"].(string))
	return session.Materialize("", "", pipes.Metadata{"large": strings.Repeat("x", characters), "padding": length})
}

func many(session *pipes.Session) error {
	err := session.Log("INFO", "begin")
	for number := range int(session.Context.Extras["count"].(float64)) {
		err = errors.Join(err, session.Custom(object{"number": number}))
	}
	return errors.Join(err, session.Log("INFO", "end"), session.Materialize("", "", nil))
}

func exception(*pipes.Session) error {
	return fmt.Errorf("no trips: %w", errors.New("the file is empty"))
}

func sigterm(session *pipes.Session) error {
	if err := session.Custom("ready"); err != nil {
		return err
	}
	select {} // until the signal
}

func secret(session *pipes.Session) error {
	content, err := os.ReadFile("/run/secrets/token")
	if err != nil {
		return err
	}
	fmt.Println(string(content))
	return session.Materialize("", "", pipes.Metadata{"characters": len(content)})
}
