module drayage/writers/go

go 1.24
