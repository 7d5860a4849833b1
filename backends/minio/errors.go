package minio

import (
	"context"
	"errors"

	"github.com/minio/minio-go/v7"

	"github.com/woodpecker-wal/woodpecker/backends"
	"github.com/woodpecker-wal/woodpecker/internal/s3common"
)

// fail translates an error of the SDK; the table of classes is s3common's.
func fail(ctx context.Context, op backends.Op, key string, cond backends.Condition, err error) error {
	if ctx.Err() != nil {
		return s3common.Error("minio", op, key, cond, s3common.Answer{}, errors.Join(ctx.Err(), context.Cause(ctx)))
	}
	var r minio.ErrorResponse
	if !errors.As(err, &r) {
		return s3common.Error("minio", op, key, cond, s3common.Answer{}, err)
	}
	return s3common.Error("minio", op, key, cond, s3common.Answer{
		Code: r.Code, Status: r.StatusCode, Message: r.Message, RequestID: r.RequestID}, err)
}
