// Package cluster proves on a real cluster what the manifests promise. Its
// tests have the build tag cluster, since they need one: `make cluster-test`
// deploys to the cluster of KUBECONFIG and runs them. They take about twenty
// minutes, most of it waiting for connections to spread again.
//
// They reach the system through the NodePorts of the overlay local; where
// nodes cannot be reached at their own addresses, CLUSTER_HOST names one that
// leads there, or CLUSTER_WS and CLUSTER_API the URLs of gateways and apis.
//
// What they saw they write to build/reports/cluster.md.
package cluster
