// prepare makes in a directory what a kube-apiserver needs before it starts: a CA, a serving certificate for loopback
// and for the addresses that are named, a client certificate to show to kubelets, the key that signs ServiceAccount tokens,
// and an administrator's token. A second run changes nothing. It prints two free loopback ports.
package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"log"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

func main() {
	log.SetFlags(0)
	if len(os.Args) < 2 {
		log.Fatal("usage: prepare DIR [ADDRESS...]")
	}
	// The token comes last: where it is, everything is.
	if _, err := os.Stat(filepath.Join(os.Args[1], "tokens.csv")); err != nil {
		makeAll(os.Args[1], os.Args[2:])
	}
	fmt.Println(freePorts())
}

func makeAll(dir string, addresses []string) {
	ca := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: "test cluster CA"},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().AddDate(10, 0, 0),
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign,
	}
	serving := &x509.Certificate{
		SerialNumber: big.NewInt(2),
		Subject:      pkix.Name{CommonName: "kube-apiserver"},
		NotBefore:    ca.NotBefore,
		NotAfter:     ca.NotAfter,
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
		DNSNames:     []string{"localhost", "kubernetes.default.svc"},
	}
	for _, address := range addresses {
		serving.IPAddresses = append(serving.IPAddresses, net.ParseIP(address))
	}
	client := &x509.Certificate{
		SerialNumber: big.NewInt(3),
		Subject:      pkix.Name{CommonName: "kube-apiserver-kubelet-client"},
		NotBefore:    ca.NotBefore,
		NotAfter:     ca.NotAfter,
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	caKey := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	servingKey := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	clientKey := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	accountKey := must(rsa.GenerateKey(rand.Reader, 2048)) // RS256, as real clusters sign

	write(dir, "ca.crt", "CERTIFICATE", must(x509.CreateCertificate(rand.Reader, ca, ca, caKey.Public(), caKey)))
	write(dir, "apiserver.crt", "CERTIFICATE", must(x509.CreateCertificate(rand.Reader, serving, ca, servingKey.Public(), caKey)))
	writeKey(dir, "apiserver.key", servingKey)
	write(dir, "kubelet-client.crt", "CERTIFICATE", must(x509.CreateCertificate(rand.Reader, client, ca, clientKey.Public(), caKey)))
	writeKey(dir, "kubelet-client.key", clientKey)
	writeKey(dir, "service-account.key", accountKey)
	token := fmt.Sprintf("%s,admin,admin,system:masters\n", rand.Text())
	check(os.WriteFile(filepath.Join(dir, "tokens.csv"), []byte(token), 0o600))
}

func freePorts() (first, second int) {
	a, b := must(net.Listen("tcp", "127.0.0.1:0")), must(net.Listen("tcp", "127.0.0.1:0"))
	defer a.Close()
	defer b.Close()
	return a.Addr().(*net.TCPAddr).Port, b.Addr().(*net.TCPAddr).Port
}

func writeKey(dir, name string, key crypto.PrivateKey) {
	write(dir, name, "PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(key)))
}

func write(dir, name, kind string, der []byte) {
	check(os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
}

func must[T any](value T, err error) T {
	check(err)
	return value
}

func check(err error) {
	if err != nil {
		log.Fatal("prepare: ", err)
	}
}
