package backends

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
)

// An Address names a bucket or directory and a prefix in it, as one URL:
// scheme://host/path?key=value. It never holds a credential.
type Address struct {
	Scheme string
	Host   string // bucket, or host:port, or empty; its meaning is the scheme's
	Path   string // without a leading slash, except for file
	Query  url.Values
}

// ParseAddress reads an address. A credential in it is an error that does not
// repeat it.
func ParseAddress(s string) (Address, error) {
	if !strings.Contains(s, "://") {
		return Address{}, fmt.Errorf("not an address: it needs a scheme, like file:///dir or s3://bucket/prefix (got no \"://\")")
	}
	u, err := url.Parse(s)
	if err != nil {
		// url.Error repeats the whole input, which may hold a secret.
		return Address{}, fmt.Errorf("not an address: the URL cannot be read (odd characters must be %%-encoded)")
	}
	if u.User != nil {
		return Address{}, fmt.Errorf("%s:// address holds a credential before the \"@\": remove it and use the environment variables or the SDK's profile instead", u.Scheme)
	}
	if u.Fragment != "" {
		return Address{}, fmt.Errorf("%s:// address has a fragment (\"#…\"): write %%23 for a # in a name", u.Scheme)
	}
	q, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return Address{}, fmt.Errorf("%s:// address: the part after \"?\" cannot be read", u.Scheme)
	}
	for k, vs := range q {
		if looksSecret(k) {
			return Address{}, fmt.Errorf("%s:// address holds a credential (key %q): remove it and use the environment variables or the SDK's profile instead", u.Scheme, k)
		}
		if len(vs) > 1 {
			return Address{}, fmt.Errorf("%s:// address gives key %q %d times", u.Scheme, k, len(vs))
		}
	}
	return Address{Scheme: u.Scheme, Host: u.Host, Path: u.Path, Query: q}, nil
}

// looksSecret recognises the names under which credentials are put in URLs.
func looksSecret(key string) bool {
	k := strings.ToLower(strings.NewReplacer("-", "", "_", "", ".", "").Replace(key))
	for _, part := range []string{"secret", "password", "passwd", "token", "accesskey", "signature", "credential", "apikey", "accountkey", "sastoken"} {
		if strings.Contains(k, part) {
			return true
		}
	}
	return k == "sig" || k == "user" || k == "key" || k == "pass"
}

// String is the address in its usual form.
func (a Address) String() string {
	u := url.URL{Scheme: a.Scheme, Host: a.Host, Path: a.Path, RawQuery: a.Query.Encode()}
	return u.String()
}

// Get returns the value of a query key, or def.
func (a Address) Get(key, def string) string {
	if v := a.Query.Get(key); v != "" {
		return v
	}
	return def
}

// Bool reads a query key as true or false.
func (a Address) Bool(key string, def bool) (bool, error) {
	switch v := a.Query.Get(key); v {
	case "":
		return def, nil
	case "true", "1", "yes":
		return true, nil
	case "false", "0", "no":
		return false, nil
	default:
		return def, fmt.Errorf("%s:// address: %s=%s must be true or false", a.Scheme, key, v)
	}
}

// OneOf reads a query key that must have one of the given values; the first is
// the default.
func (a Address) OneOf(key string, values ...string) (string, error) {
	v := a.Get(key, values[0])
	if slices.Contains(values, v) {
		return v, nil
	}
	return "", fmt.Errorf("%s:// address: %s=%s must be one of %s", a.Scheme, key, v, strings.Join(values, ", "))
}

// checkKeys refuses unknown query keys and suggests the nearest known one.
func (a Address) checkKeys(known []string) error {
	for _, k := range slices.Sorted(maps.Keys(a.Query)) {
		if slices.Contains(known, k) {
			continue
		}
		if len(known) == 0 {
			return fmt.Errorf("%s:// address: unknown key %q; this scheme takes none", a.Scheme, k)
		}
		if near := Nearest(k, known); near != "" {
			return fmt.Errorf("%s:// address: unknown key %q; did you mean %q?", a.Scheme, k, near)
		}
		return fmt.Errorf("%s:// address: unknown key %q; known are %s", a.Scheme, k, strings.Join(known, ", "))
	}
	return nil
}

// Nearest returns the candidate with the smallest edit distance to s, or "" if
// none is close enough to be a slip of the hand.
func Nearest(s string, candidates []string) string {
	best, bestD := "", max(2, len(s)/3)+1
	for _, c := range candidates {
		if d := editDistance(strings.ToLower(s), strings.ToLower(c)); d < bestD {
			best, bestD = c, d
		}
	}
	return best
}

// editDistance is the Levenshtein distance over bytes.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		prev := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			prev, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, prev+cost)
		}
	}
	return row[len(b)]
}
