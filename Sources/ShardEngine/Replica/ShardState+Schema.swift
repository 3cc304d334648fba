import Foundation
import GRDB

/// How `state.sqlite` is opened, and its format by version.
extension ShardState {
    static var configuration: Configuration {
        var configuration = Configuration()
        configuration.maximumReaderCount = 8
        configuration.prepareDatabase { database in
            try database.execute(sql: "PRAGMA synchronous = NORMAL")
            try database.execute(sql: "PRAGMA secure_delete = ON")
            try database.execute(sql: "PRAGMA cell_size_check = ON")
        }
        return configuration
    }

    /// The format of `state.sqlite`: docs/formats/state.md.
    static var migrator: DatabaseMigrator {
        var migrator = DatabaseMigrator()
        migrator.registerMigration("1") { database in
            try database.execute(
                sql: """
                    CREATE TABLE meta (
                        only INTEGER PRIMARY KEY CHECK (only = 1), applied INTEGER NOT NULL,
                        placed_segments TEXT NOT NULL, faces INTEGER NOT NULL
                    );
                    INSERT INTO meta VALUES (1, 0, '', 0);
                    CREATE TABLE face (
                        id BLOB PRIMARY KEY NOT NULL, key BLOB NOT NULL, external_image_id TEXT,
                        leaf INTEGER NOT NULL, segment INTEGER, row INTEGER
                    ) WITHOUT ROWID;
                    CREATE TABLE face_key (
                        key BLOB PRIMARY KEY NOT NULL, count INTEGER NOT NULL, live INTEGER NOT NULL
                    ) WITHOUT ROWID;
                    """)
        }
        // Shards from before owned the whole tree.
        migrator.registerMigration("2") { database in
            try database.execute(sql: "ALTER TABLE meta ADD COLUMN roots TEXT NOT NULL DEFAULT '0'")
        }
        // Shards from before have never split a bucket.
        migrator.registerMigration("3") { database in
            try database.execute(
                sql: """
                    CREATE TABLE bucket (
                        id INTEGER PRIMARY KEY NOT NULL, parent INTEGER NOT NULL, centroid BLOB NOT NULL,
                        lsn INTEGER NOT NULL
                    );
                    """)
        }
        // Shards from before do not know who deleted what.
        migrator.registerMigration("4") { database in
            try database.execute(
                sql: """
                    CREATE TABLE deletion (
                        id BLOB PRIMARY KEY NOT NULL, token BLOB NOT NULL, lsn INTEGER NOT NULL
                    ) WITHOUT ROWID;
                    CREATE INDEX deletion_lsn ON deletion (lsn);
                    """)
        }
        // Shards from before count what they hold.
        migrator.registerMigration("5") { database in
            try database.execute(sql: "ALTER TABLE meta ADD COLUMN digest BLOB NOT NULL DEFAULT x''")
            try database.execute(
                sql: "UPDATE meta SET digest = ?", arguments: [Data(try recountWhole(database).bytes)])
        }
        // Shards from before are whole.
        migrator.registerMigration("6") { database in
            try database.execute(sql: "ALTER TABLE meta ADD COLUMN split BLOB NOT NULL DEFAULT x''")
        }
        // Shards from before do not know who enrolled what.
        migrator.registerMigration("7") { database in
            try database.execute(
                sql: """
                    CREATE TABLE enrolment (
                        token BLOB PRIMARY KEY NOT NULL, id BLOB NOT NULL, lsn INTEGER NOT NULL
                    ) WITHOUT ROWID;
                    CREATE INDEX enrolment_lsn ON enrolment (lsn);
                    """)
        }
        return migrator
    }
}
