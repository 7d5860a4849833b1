package minio

import (
	"context"
	"errors"
	"net/http"
	"os"
	"strings"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/woodpecker-wal/woodpecker/backends"
	"github.com/woodpecker-wal/woodpecker/internal/s3common"
)

// Config says which bucket to open and how.
type Config struct {
	Endpoint  string // host:port
	Bucket    string
	TLS       bool
	Region    string // empty: us-east-1
	PathStyle bool   // false: as minio-go decides from the host
	// Credentials; nil means those of the environment.
	Credentials *credentials.Credentials
	// Transport carries the requests; nil means one of the store's own. It must
	// not retry.
	Transport http.RoundTripper
}

// Scheme opens minio://host:port/bucket/prefix.
func Scheme() backends.Scheme {
	return backends.Scheme{
		Name: "minio", HTTP: true, Keys: []string{"tls", "region", "path_style"},
		Open: func(_ context.Context, a backends.Address, o backends.Options) (backends.Store, error) {
			bucket, prefix, _ := strings.Cut(strings.Trim(a.Path, "/"), "/")
			if a.Host == "" || bucket == "" {
				return nil, errors.New("minio:// address: it needs a host and a bucket, like minio://host:9000/bucket/prefix")
			}
			c := Config{Endpoint: a.Host, Bucket: bucket, Region: a.Get("region", ""), Transport: o.Transport}
			var err error
			if c.TLS, err = a.Bool("tls", true); err != nil {
				return nil, err
			}
			if c.PathStyle, err = a.Bool("path_style", false); err != nil {
				return nil, err
			}
			s, err := Open(c)
			if err != nil {
				return nil, err
			}
			return backends.Prefix(s, prefix), nil
		},
	}
}

// fromEnvironment finds the credentials that users of MinIO set.
func fromEnvironment() (*credentials.Credentials, error) {
	for _, names := range [][2]string{
		{"MINIO_ACCESS_KEY", "MINIO_SECRET_KEY"},
		{"MINIO_ROOT_USER", "MINIO_ROOT_PASSWORD"},
		{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"},
	} {
		id, secret := os.Getenv(names[0]), os.Getenv(names[1])
		if id != "" && secret != "" {
			token := ""
			if strings.HasPrefix(names[0], "AWS_") {
				token = os.Getenv("AWS_SESSION_TOKEN")
			}
			return credentials.NewStaticV4(id, secret, token), nil
		}
	}
	c := credentials.NewFileAWSCredentials("", os.Getenv("AWS_PROFILE"))
	if v, err := c.GetWithContext(nil); err == nil && v.AccessKeyID != "" {
		return c, nil
	}
	return nil, &backends.Error{Op: backends.OpOpen, Store: "minio", Class: backends.Denied,
		Err: errors.New("no credentials found: set MINIO_ACCESS_KEY and MINIO_SECRET_KEY (or MINIO_ROOT_USER and MINIO_ROOT_PASSWORD, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY)")}
}

// Open makes a store on a bucket. It sends no request.
func Open(c Config) (*Store, error) {
	if c.Credentials == nil {
		var err error
		if c.Credentials, err = fromEnvironment(); err != nil {
			return nil, err
		}
	}
	if c.Region == "" {
		// Without one minio-go asks for the bucket's location first.
		c.Region = "us-east-1"
	}
	var own *http.Transport
	if c.Transport == nil {
		own = s3common.NewTransport()
		c.Transport = own
	}
	lookup := minio.BucketLookupAuto
	if c.PathStyle {
		lookup = minio.BucketLookupPath
	}
	core, err := minio.NewCore(c.Endpoint, &minio.Options{
		Creds: c.Credentials, Secure: c.TLS, Region: c.Region, Transport: c.Transport, BucketLookup: lookup, MaxRetries: 1,
	})
	if err != nil {
		return nil, errors.New("minio:// address: " + err.Error())
	}
	return &Store{core: core, bucket: c.Bucket, own: own}, nil
}
