package s3

import (
	"context"
	"errors"
	"fmt"
	"strings"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"

	"github.com/woodpecker-wal/woodpecker/backends"
	"github.com/woodpecker-wal/woodpecker/internal/s3common"
)

// fail translates an error of the SDK; the table of classes is s3common's.
func fail(ctx context.Context, op backends.Op, key string, cond backends.Condition, err error) error {
	var a s3common.Answer
	var api smithy.APIError
	if errors.As(err, &api) {
		a.Code, a.Message = api.ErrorCode(), api.ErrorMessage()
	}
	var resp *awshttp.ResponseError
	if errors.As(err, &resp) && resp.Response != nil {
		a.Status = resp.HTTPStatusCode()
		a.RequestID = resp.ServiceRequestID()
		a.Header = resp.Response.Header
	}
	if a.Status == 0 || ctx.Err() != nil {
		if cause := noCredentials(err); cause != nil {
			return &backends.Error{Op: op, Store: "s3", Key: key, Class: backends.Denied, Err: cause}
		}
		if ctx.Err() != nil {
			err = fmt.Errorf("%w", context.Cause(ctx))
			if !errors.Is(err, ctx.Err()) {
				err = errors.Join(ctx.Err(), err)
			}
		}
		return s3common.Error("s3", op, key, cond, s3common.Answer{}, cause(err))
	}
	if a.Status < 300 {
		// The answer came and could not be read: a success, as far as one knows.
		e := &backends.Error{Op: op, Store: "s3", Key: key, Class: backends.Unavailable, Status: a.Status, RequestID: a.RequestID, Err: cause(err)}
		if op == backends.OpPut || op == backends.OpDelete {
			e.Class = backends.Ambiguous
		}
		return e
	}
	return s3common.Error("s3", op, key, cond, a, cause(err))
}

func failOrNil(ctx context.Context, op backends.Op, key string, err error) error {
	if err == nil {
		return nil
	}
	return fail(ctx, op, key, backends.Condition{}, err)
}

// cause unwraps the SDK's layers, which add the operation's name and nothing
// that a user of the store could act on.
func cause(err error) error {
	var op *smithy.OperationError
	if errors.As(err, &op) {
		err = op.Err
	}
	return err
}

// noCredentials recognises that no credentials could be found.
func noCredentials(err error) error {
	m := err.Error()
	if strings.Contains(m, "get credentials") || strings.Contains(m, "failed to refresh cached credentials") || strings.Contains(m, "get identity") {
		return errors.New("no credentials found: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a profile, or add anonymous=true")
	}
	return nil
}
