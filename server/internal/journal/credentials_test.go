package journal_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nkeys"

	"github.com/deskbridge/deskbridge/server/internal/journal"
	"github.com/deskbridge/deskbridge/server/internal/journal/journaltest"
)

// authority is an operator with one account, as hosted NATS has them.
type authority struct {
	t                 *testing.T
	operator, account nkeys.KeyPair
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t}
	var err error
	if a.operator, err = nkeys.CreateOperator(); err != nil {
		t.Fatal(err)
	}
	if a.account, err = nkeys.CreateAccount(); err != nil {
		t.Fatal(err)
	}
	return a
}

func (a *authority) publicKey(pair nkeys.KeyPair) string {
	a.t.Helper()
	key, err := pair.PublicKey()
	if err != nil {
		a.t.Fatal(err)
	}
	return key
}

// govern makes a server trust the operator, and know the account and that of the system.
func (a *authority) govern(options *server.Options) {
	a.t.Helper()
	operator := jwt.NewOperatorClaims(a.publicKey(a.operator))
	account := jwt.NewAccountClaims(a.publicKey(a.account))
	account.Limits.JetStreamLimits = jwt.JetStreamLimits{
		MemoryStorage: jwt.NoLimit, DiskStorage: jwt.NoLimit, Streams: jwt.NoLimit, Consumer: jwt.NoLimit,
	}
	system, err := nkeys.CreateAccount()
	if err != nil {
		a.t.Fatal(err)
	}
	operator.SystemAccount = a.publicKey(system)
	resolver := &server.MemAccResolver{}
	for _, claims := range []*jwt.AccountClaims{account, jwt.NewAccountClaims(operator.SystemAccount)} {
		if err := resolver.Store(claims.Subject, a.sign(claims, a.operator)); err != nil {
			a.t.Fatal(err)
		}
	}
	options.TrustedOperators = []*jwt.OperatorClaims{operator}
	options.SystemAccount = operator.SystemAccount
	options.AccountResolver = resolver
}

func (a *authority) sign(claims jwt.Claims, by nkeys.KeyPair) string {
	a.t.Helper()
	token, err := claims.Encode(by)
	if err != nil {
		a.t.Fatal(err)
	}
	return token
}

// credentials writes the file of a user of the account, or of a stranger.
func (a *authority) credentials(by nkeys.KeyPair) (path string) {
	a.t.Helper()
	user, err := nkeys.CreateUser()
	if err != nil {
		a.t.Fatal(err)
	}
	seed, err := user.Seed()
	if err != nil {
		a.t.Fatal(err)
	}
	content, err := jwt.FormatUserConfig(a.sign(jwt.NewUserClaims(a.publicKey(user)), by), seed)
	if err != nil {
		a.t.Fatal(err)
	}
	path = filepath.Join(a.t.TempDir(), "user.creds")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		a.t.Fatal(err)
	}
	return path
}

func TestClusterWithCredentials(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	servers := journaltest.StartCluster(t, 1, a.govern)
	config := journal.Config{Cluster: journal.Cluster{Replicas: 1, CredentialsFile: a.credentials(a.account)}}
	j := openOn(t, servers.URLs(), config)
	if receipt := appendEntry(t, j, entry(1)); receipt.Spooled || receipt.Position != 1 {
		t.Errorf("got %+v, want position 1", receipt)
	}
	checkRecords(t, read(t, j, 0, 1), 1)
}

// TestClusterWithStrangersCredentials: a cluster that turns the bridge away counts as one that is away.
func TestClusterWithStrangersCredentials(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	servers := journaltest.StartCluster(t, 1, a.govern)
	stranger, err := nkeys.CreateAccount()
	if err != nil {
		t.Fatal(err)
	}
	j := openOn(t, servers.URLs(), journal.Config{
		AckTimeout: 2 * time.Second,
		Cluster:    journal.Cluster{Replicas: 1, CredentialsFile: a.credentials(stranger)},
	})
	checkSpooled(t, j, 1, 3)
}
