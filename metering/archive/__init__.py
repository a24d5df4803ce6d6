"""What leaves the tables in time: months of events as Parquet files, old bodies, old receipts."""
