package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	pipes "drayage/writers/go"

	"drayage/workloads/auditor/audit"
	"drayage/workloads/auditor/trips"
)

const secretsFolder = "/run/secrets"

// settings are the addresses and credentials of the services.
type settings struct {
	kafkaBootstrapServers, schemaRegistryURL, icebergCatalogURI, icebergWarehouse string
	s3Endpoint, s3Region, s3AccessKeyID, s3SecretAccessKey                        string
}

// extras are the Pipes extras from the host.
type extras struct {
	Topic    string         `json:"topic"`
	Versions string         `json:"versions_topic"`
	Receipts audit.Receipts `json:"receipts"`
}

// readSettings reads each setting from a file in the folder, named in lower case, or else from the environment.
func readSettings(folder string) (settings, error) {
	var read settings
	var missing []string
	for name, into := range map[string]*string{
		"KAFKA_BOOTSTRAP_SERVERS": &read.kafkaBootstrapServers,
		"SCHEMA_REGISTRY_URL":     &read.schemaRegistryURL,
		"ICEBERG_CATALOG_URI":     &read.icebergCatalogURI,
		"ICEBERG_WAREHOUSE":       &read.icebergWarehouse,
		"S3_ENDPOINT":             &read.s3Endpoint,
		"S3_REGION":               &read.s3Region,
		"S3_ACCESS_KEY_ID":        &read.s3AccessKeyID,
		"S3_SECRET_ACCESS_KEY":    &read.s3SecretAccessKey,
	} {
		content, err := os.ReadFile(filepath.Join(folder, strings.ToLower(name)))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return settings{}, fmt.Errorf("the secret %s cannot be read: %w", name, err)
		}
		if *into = strings.TrimSpace(string(content)); err != nil {
			*into = os.Getenv(name)
		}
		if *into == "" {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		return settings{}, fmt.Errorf("settings are missing: %s; expected each as an environment variable, or as a file of its "+
			"lower-case name in %s: set them where the host starts this image", strings.Join(missing, ", "), folder)
	}
	return read, nil
}

func readRequest(context pipes.Context) (trips.Month, extras, error) {
	if context.PartitionKey == nil {
		return trips.Month{}, extras{}, errors.New("the step has no partition: audit a single month, such as 2024-01")
	}
	month, err := trips.ParseMonth(*context.PartitionKey)
	if err != nil {
		return trips.Month{}, extras{}, err
	}
	var read extras
	content, err := json.Marshal(context.Extras)
	if err == nil {
		decoder := json.NewDecoder(bytes.NewReader(content))
		decoder.DisallowUnknownFields()
		err = decoder.Decode(&read)
	}
	if err == nil && (read.Topic == "" || read.Versions == "") {
		err = errors.New("topic or versions_topic is missing")
	}
	if err != nil {
		return trips.Month{}, extras{}, fmt.Errorf(
			"the extras do not fit (expected topic, versions_topic and receipts: correct the asset that starts this step): %w", err)
	}
	return month, read, nil
}
