package s3

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/woodpecker-wal/woodpecker/backends"
	"github.com/woodpecker-wal/woodpecker/internal/s3common"
)

// Config says which bucket to open and how. Credentials come from the SDK's
// default chain.
type Config struct {
	Bucket   string
	Region   string // empty: from environment or profile; us-east-1 with an Endpoint
	Endpoint string // empty: AWS
	Profile  string // of the shared configuration; empty: the default one
	// PathStyle puts the bucket into the path; nil means yes with an Endpoint.
	PathStyle *bool
	// Checksum is "when_required" or "when_supported", the SDK's own default;
	// empty means when_supported on AWS and when_required elsewhere, where many
	// products refuse the SDK's checksum trailers.
	Checksum  string
	Anonymous bool
	// Transport carries the requests; nil means one of the store's own. It must
	// not retry.
	Transport http.RoundTripper
}

// Scheme opens s3://bucket/prefix.
func Scheme() backends.Scheme {
	return backends.Scheme{
		Name: "s3", HTTP: true,
		Keys: []string{"region", "endpoint", "path_style", "checksum", "dialect", "profile", "anonymous"},
		Open: func(ctx context.Context, a backends.Address, o backends.Options) (backends.Store, error) {
			c, err := configOf(a)
			if err != nil {
				return nil, err
			}
			c.Transport = o.Transport
			s, err := Open(ctx, c)
			if err != nil {
				return nil, err
			}
			return backends.Prefix(s, a.Path), nil
		},
	}
}

// dialects that later versions will speak, and what to say until then.
var dialects = []string{"aws", "oss", "cos", "gcs", "spaces", "express"}

func configOf(a backends.Address) (Config, error) {
	c := Config{Bucket: a.Host, Region: a.Get("region", ""), Endpoint: a.Get("endpoint", ""), Profile: a.Get("profile", "")}
	var err error
	if c.Bucket == "" {
		return c, errors.New("s3:// address: it needs a bucket, like s3://bucket/prefix")
	}
	if c.Anonymous, err = a.Bool("anonymous", false); err != nil {
		return c, err
	}
	if a.Get("path_style", "") != "" {
		b, err := a.Bool("path_style", false)
		if err != nil {
			return c, err
		}
		c.PathStyle = &b
	}
	if a.Get("checksum", "") != "" {
		if c.Checksum, err = a.OneOf("checksum", "when_required", "when_supported"); err != nil {
			return c, err
		}
	}
	dialect, err := a.OneOf("dialect", dialects...)
	if err != nil {
		return c, err
	}
	if dialect != "aws" {
		return c, fmt.Errorf("s3:// address: dialect=%s is not supported yet", dialect)
	}
	return c, c.check()
}

// check refuses what cannot work, and endpoints that would accept a condition
// and ignore it.
func (c Config) check() error {
	if c.Endpoint == "" {
		return nil
	}
	u, err := url.Parse(c.Endpoint)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return errors.New("s3:// address: endpoint must be an URL like https://host:port")
	}
	if u.User != nil {
		return errors.New("s3:// address: the endpoint holds a credential before the \"@\": remove it and use the environment variables instead")
	}
	host := u.Hostname()
	switch {
	case host == "storage.googleapis.com" || strings.HasSuffix(host, ".storage.googleapis.com"):
		return errors.New("s3:// address: unsafe: Google Cloud Storage accepts the conditions of S3 requests and ignores them, so writers overwrite each other silently; a native gs:// adapter is needed")
	case strings.HasSuffix(host, ".aliyuncs.com") || strings.HasSuffix(host, ".myqcloud.com"):
		return fmt.Errorf("s3:// address: refused: %s has no conditional put in the S3 dialect; its own forbid-overwrite header is not supported yet", host)
	}
	return nil
}

// Open makes a store on a bucket. It sends no request.
func Open(ctx context.Context, c Config) (*Store, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	options := []func(*awsconfig.LoadOptions) error{
		awsconfig.WithRetryer(func() aws.Retryer { return aws.NopRetryer{} }),
	}
	if c.Profile != "" {
		options = append(options, awsconfig.WithSharedConfigProfile(c.Profile))
	}
	if c.Region != "" {
		options = append(options, awsconfig.WithRegion(c.Region))
	}
	if c.Anonymous {
		options = append(options, awsconfig.WithCredentialsProvider(aws.AnonymousCredentials{}))
	}
	cfg, err := awsconfig.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return nil, fmt.Errorf("s3: reading the SDK's configuration: %w", err)
	}
	if cfg.Region == "" {
		if c.Endpoint == "" {
			return nil, errors.New("s3:// address: no region: add ?region=…, or set AWS_REGION")
		}
		cfg.Region = "us-east-1"
	}
	var own *http.Transport
	if c.Transport == nil {
		own = s3common.NewTransport()
		// The SDK has read AWS_CA_BUNDLE into its own client, if it is set.
		if sdk, ok := cfg.HTTPClient.(*awshttp.BuildableClient); ok {
			own.TLSClientConfig = sdk.GetTransport().TLSClientConfig
		}
		c.Transport = own
	}
	client := s3.NewFromConfig(cfg, func(o *s3.Options) {
		o.HTTPClient = &http.Client{Transport: c.Transport, CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse
		}}
		o.Retryer = aws.NopRetryer{}
		o.ContinueHeaderThresholdBytes = -1
		o.DisableLogOutputChecksumValidationSkipped = true
		if c.Endpoint != "" {
			o.BaseEndpoint = aws.String(c.Endpoint)
			o.UsePathStyle = c.PathStyle == nil || *c.PathStyle
		} else if c.PathStyle != nil {
			o.UsePathStyle = *c.PathStyle
		}
		if c.Checksum == "when_required" || (c.Checksum == "" && c.Endpoint != "") {
			o.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired
			o.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired
		}
	})
	return &Store{client: client, bucket: c.Bucket, own: own}, nil
}
