module drayage/relay

go 1.24.0
