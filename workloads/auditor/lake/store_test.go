package lake

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// objects serves one object to signed requests, and records the requested ranges.
func objects(t *testing.T, content string) (*ObjectStore, *[]string) {
	t.Helper()
	var ranges []string
	server := httptest.NewServer(http.HandlerFunc(func(answer http.ResponseWriter, request *http.Request) {
		switch {
		case !strings.HasPrefix(request.Header.Get("Authorization"), "AWS4-HMAC-SHA256 Credential=key/"):
			answer.WriteHeader(http.StatusForbidden)
		case request.URL.Path != "/warehouse/silver/trips/month=2024-01 %/a.parquet":
			answer.WriteHeader(http.StatusNotFound)
		default:
			ranges = append(ranges, request.Header.Get("Range"))
			http.ServeContent(answer, request, "", time.Unix(1, 0), strings.NewReader(content))
		}
	}))
	t.Cleanup(server.Close)
	store, err := OpenStore(server.URL, "us-east-1", "key", "secret")
	if err != nil {
		t.Fatal(err)
	}
	return store, &ranges
}

const location = "s3://warehouse/silver/trips/month=2024-01 %/a.parquet"

func TestARangeOfAnObjectIsOneSignedRequest(t *testing.T) {
	store, ranges := objects(t, "0123456789")
	object, err := store.Open(context.Background(), location, 10)
	if err != nil {
		t.Fatal(err)
	}
	part := make([]byte, 4)
	if count, err := object.ReadAt(part, 3); count != 4 || err != nil || string(part) != "3456" {
		t.Errorf("got %d bytes %q, %v", count, part, err)
	}
	if count, err := object.ReadAt(part, 8); count != 2 || !errors.Is(err, io.EOF) || string(part[:2]) != "89" {
		t.Errorf("at the end: got %d bytes %q, %v", count, part, err)
	}
	if count, err := object.ReadAt(part, 10); count != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("beyond the end: got %d bytes, %v", count, err)
	}
	if got := strings.Join(*ranges, " "); got != "bytes=3-6 bytes=8-9" {
		t.Errorf("asked for %s", got)
	}
}

func TestAWholeObjectIsReadOrItsPlaceIsTold(t *testing.T) {
	store, _ := objects(t, "whole")
	content, err := store.Read(context.Background(), location)
	if err != nil {
		t.Fatal(err)
	}
	var read bytes.Buffer
	if _, err := read.ReadFrom(content); err != nil || read.String() != "whole" {
		t.Errorf("got %q, %v", read.String(), err)
	}
	for place, want := range map[string]string{"s3://warehouse/gone": "s3://warehouse/gone", "file:///etc/passwd": "not an S3 object"} {
		if _, err := store.Read(context.Background(), place); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("expected an error with %q, got %v", want, err)
		}
	}
	if _, err := OpenStore("minio", "us-east-1", "key", "secret"); err == nil || !strings.Contains(err.Error(), "S3_ENDPOINT") {
		t.Errorf("expected an error that names S3_ENDPOINT, got %v", err)
	}
}
