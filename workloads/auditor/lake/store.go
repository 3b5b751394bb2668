package lake

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

// schemes of the locations by which tables name S3 objects.
var schemes = []string{"s3", "s3a", "s3n"}

// ObjectStore is an S3 store.
type ObjectStore struct {
	core     *minio.Core
	endpoint string
}

// OpenStore returns a client of the store; it sends no request yet.
func OpenStore(endpoint, region, accessKeyID, secretAccessKey string) (*ObjectStore, error) {
	address, err := url.Parse(endpoint)
	if err != nil || address.Host == "" {
		return nil, fmt.Errorf("S3_ENDPOINT %q is not an address: expected one such as http://minio:9000", endpoint)
	}
	core, err := minio.NewCore(address.Host, &minio.Options{
		Creds:        credentials.NewStaticV4(accessKeyID, secretAccessKey, ""),
		Secure:       address.Scheme == "https",
		Region:       region,
		BucketLookup: minio.BucketLookupPath,
	})
	if err != nil {
		return nil, fmt.Errorf("S3_ENDPOINT %s cannot be used: %w", endpoint, err)
	}
	return &ObjectStore{core, endpoint}, nil
}

// Read returns a whole object.
func (s *ObjectStore) Read(ctx context.Context, location string) (io.ReadCloser, error) {
	return s.get(ctx, location, minio.GetObjectOptions{})
}

// Open returns random access to an object's bytes; each read is one request for exactly that range.
func (s *ObjectStore) Open(ctx context.Context, location string, size int64) (io.ReaderAt, error) {
	return &object{ctx, s, location, size}, nil
}

func (s *ObjectStore) get(ctx context.Context, location string, options minio.GetObjectOptions) (io.ReadCloser, error) {
	scheme, place, _ := strings.Cut(location, "://") // not parsed as a URL, because a key may contain any character
	bucket, key, _ := strings.Cut(place, "/")
	if !slices.Contains(schemes, scheme) {
		return nil, fmt.Errorf("%q is not an S3 object; this auditor reads only S3 objects", location)
	}
	content, _, _, err := s.core.GetObject(ctx, bucket, key, options)
	if err != nil {
		return nil, fmt.Errorf("%s could not be read from the object store at %s: %w", location, s.endpoint, err)
	}
	return content, nil
}

type object struct {
	ctx      context.Context
	store    *ObjectStore
	location string
	size     int64
}

func (o *object) ReadAt(into []byte, offset int64) (int, error) {
	wanted := into[:max(0, min(int64(len(into)), o.size-offset))]
	if len(wanted) == 0 {
		return 0, io.EOF
	}
	var options minio.GetObjectOptions
	if err := options.SetRange(offset, offset+int64(len(wanted))-1); err != nil {
		return 0, err
	}
	content, err := o.store.get(o.ctx, o.location, options)
	if err != nil {
		return 0, err
	}
	defer content.Close()
	count, err := io.ReadFull(content, wanted)
	if err != nil {
		return count, fmt.Errorf("%s broke off after %d of the %d bytes from %d on: %w", o.location, count, len(wanted), offset, err)
	}
	if count < len(into) {
		return count, io.EOF
	}
	return count, nil
}
