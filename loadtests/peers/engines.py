"""The peers: each builds its index over the rows on every core, and answers one query at a time on one.

A peer is a class with `family`; `__init__(rows, folder)` builds; `modes()` yields (what the mode is called, a function
from a probe to row numbers, best first); `bytes()` is what the index takes, in memory or else on disk.
"""

import os
import pathlib

K = 10
CORES = os.cpu_count() or 1
# Of its lists, leaves or candidates: what a mode searches.
SHARES = (1 / 128, 1 / 64, 1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2)
EFFORTS = (16, 32, 64, 128, 256, 512)


def cells(rows):
    """Lists or leaves: 2 sqrt(N), a power of two; 2,048 of a million."""
    lists = 16
    while lists < 1.4 * len(rows) ** 0.5:
        lists *= 2
    return lists


def probed(lists, every):
    found = sorted({max(1, round(lists * share)) for share in SHARES})
    return found + [lists] if every else found


def size_on_disk(folder):
    return sum(path.stat().st_size for path in pathlib.Path(folder).rglob("*") if path.is_file())


class Flat:
    family = "FAISS Flat"
    exact = True

    def __init__(self, rows, folder):
        import faiss

        faiss.omp_set_num_threads(1)
        self.index = faiss.IndexFlatIP(rows.shape[1])
        self.index.add(rows)
        self.size = 4 * rows.size

    def modes(self):
        yield "", lambda probe: self.index.search(probe[None], K)[1][0]

    def bytes(self):
        return self.size


class SQ8:
    family = "FAISS SQ8"

    def __init__(self, rows, folder):
        import faiss

        kind = faiss.ScalarQuantizer.QT_8bit
        self.index = faiss.IndexScalarQuantizer(rows.shape[1], kind, faiss.METRIC_INNER_PRODUCT)
        self.index.train(rows[:: max(1, len(rows) // 100_000)])
        self.index.add(rows)
        faiss.omp_set_num_threads(1)
        self.size = rows.size

    def modes(self):
        yield "", lambda probe: self.index.search(probe[None], K)[1][0]

    def bytes(self):
        return self.size


class InvertedLists:
    """FAISS's inverted lists; `code` says how their vectors are kept."""

    code = "SQ8"
    family = "FAISS IVF,SQ8"

    def __init__(self, rows, folder):
        import faiss

        self.faiss = faiss
        faiss.omp_set_num_threads(CORES)
        self.lists = cells(rows)
        self.index = faiss.index_factory(rows.shape[1], f"IVF{self.lists},{self.code}", faiss.METRIC_INNER_PRODUCT)
        self.index.train(rows[:: max(1, len(rows) // (64 * self.lists))])
        self.index.add(rows)
        faiss.omp_set_num_threads(1)

    def modes(self):
        for probes in probed(self.lists, every=False):
            parameters = self.faiss.SearchParametersIVF(nprobe=probes)
            yield f"{probes} of {self.lists} lists", self.search(parameters)

    def search(self, parameters):
        return lambda probe: self.index.search(probe[None], K, params=parameters)[1][0]

    def bytes(self):
        writer = self.faiss.VectorIOWriter()
        self.faiss.write_index(self.index, writer)
        return writer.data.size()


class RaBitQ(InvertedLists):
    code = "RaBitQ,Refine(SQ8)"
    family = "FAISS IVF,RaBitQ,Refine(SQ8)"

    def modes(self):
        for probes in probed(self.lists, every=True):
            factor = 200 if probes == self.lists else 20
            inner = self.faiss.SearchParametersIVF(nprobe=probes)
            parameters = self.faiss.IndexRefineSearchParameters(k_factor=factor, base_index_params=inner)
            count = "every list" if probes == self.lists else f"{probes} of {self.lists} lists"
            yield f"{count}, {factor * K:,} refined", self.search(parameters)


class Usearch:
    family = "usearch HNSW int8"

    def __init__(self, rows, folder):
        from usearch.index import Index

        self.index = Index(ndim=rows.shape[1], metric="cos", dtype="i8", connectivity=16, expansion_add=128)
        keys = range(len(rows))
        import numpy

        for start in range(0, len(rows), 50_000):
            block = rows[start : start + 50_000]
            self.index.add(numpy.array(keys[start : start + len(block)], numpy.uint64), block, threads=CORES)

    def modes(self):
        for effort in EFFORTS:
            yield f"ef {effort}", self.search(effort)

    def search(self, effort):
        def one(probe):
            self.index.expansion_search = effort
            return self.index.search(probe, K, threads=1).keys

        return one

    def bytes(self):
        return self.index.memory_usage


class ScaNN:
    family = "ScaNN tree, AH, reorder 200"

    def __init__(self, rows, folder):
        import scann

        self.folder = folder
        self.leaves = cells(rows)
        self.searcher = (
            scann.scann_ops_pybind.builder(rows, K, "dot_product")
            .tree(num_leaves=self.leaves, num_leaves_to_search=self.leaves, training_sample_size=100_000)
            .score_ah(2, anisotropic_quantization_threshold=0.2)
            .reorder(200)
            .set_n_training_threads(CORES)
            .build()
        )

    def modes(self):
        for leaves in probed(self.leaves, every=True):
            count = "every leaf" if leaves == self.leaves else f"{leaves} of {self.leaves} leaves"
            yield count, lambda probe, leaves=leaves: self.searcher.search(probe, leaves_to_search=leaves)[0]

    def bytes(self):
        self.searcher.serialize(self.folder)
        return size_on_disk(self.folder)


class QdrantEdge:
    family = "qdrant-edge HNSW int8"
    # It has threads of its own: all of them are kept on one core while it is measured.
    has_threads = True

    def __init__(self, rows, folder):
        import qdrant_edge as edge

        self.edge, self.folder = edge, folder
        quantized = edge.ScalarQuantizationConfig(type=edge.ScalarType.Int8, always_ram=True)
        vectors = edge.EdgeVectorParams(size=rows.shape[1], distance=edge.Distance.Dot)
        graph = edge.HnswIndexConfig(m=16, ef_construct=128, full_scan_threshold=1, max_indexing_threads=CORES)
        config = edge.EdgeConfig(
            vectors={"face": vectors}, hnsw_config=graph, quantization_config=quantized, max_search_threads=1,
            optimizers=edge.EdgeOptimizersConfig(default_segment_number=1, indexing_threshold=1),
        )
        self.shard = edge.EdgeShard.create(folder, config)
        for start in range(0, len(rows), 1_000):
            block = rows[start : start + 1_000].tolist()
            points = [edge.Point(start + at, {"face": row}) for at, row in enumerate(block)]
            self.shard.update(edge.UpdateOperation.upsert_points(points))
        self.shard.optimize()
        indexed = self.shard.info().indexed_vectors_count
        if indexed < len(rows):
            raise RuntimeError(f"it indexed {indexed} of {len(rows)} vectors")

    def modes(self):
        for effort in EFFORTS:
            yield f"ef {effort}", self.search(effort)

    def search(self, effort):
        edge = self.edge
        parameters = edge.SearchParams(hnsw_ef=effort)

        def one(probe):
            query = edge.Query.Nearest(probe.tolist(), using="face")
            found = self.shard.search(edge.SearchRequest(query=query, limit=K, params=parameters))
            return [point.id for point in found]

        return one

    def bytes(self):
        self.shard.flush()
        return size_on_disk(self.folder)


class Lance:
    family = "lancedb IVF_PQ, refine 20"
    has_threads = True

    def __init__(self, rows, folder):
        os.environ["LANCE_CPU_THREADS"] = str(CORES)
        import lancedb
        import numpy
        import pyarrow

        self.folder = folder
        dimension = rows.shape[1]
        self.partitions = cells(rows)
        schema = pyarrow.schema(
            [("id", pyarrow.int64()), ("face", pyarrow.list_(pyarrow.float32(), dimension))]
        )

        def batches():
            for start in range(0, len(rows), 20_000):
                block = rows[start : start + 20_000]
                vectors = pyarrow.FixedSizeListArray.from_arrays(pyarrow.array(block.reshape(-1)), dimension)
                ids = pyarrow.array(numpy.arange(start, start + len(block)))
                yield pyarrow.RecordBatch.from_arrays([ids, vectors], schema=schema)

        self.table = lancedb.connect(folder).create_table("faces", batches(), schema=schema)
        self.table.create_index(
            metric="dot", vector_column_name="face", index_type="IVF_PQ", num_partitions=self.partitions,
            num_sub_vectors=dimension // 8,
        )

    def modes(self):
        for partitions in probed(self.partitions, every=False):
            yield f"{partitions} of {self.partitions} partitions", self.search(partitions)

    def search(self, partitions):
        def one(probe):
            query = self.table.search(probe, vector_column_name="face").distance_type("dot").limit(K)
            query = query.nprobes(partitions).refine_factor(20).select(["id", "_distance"])
            return query.to_arrow()["id"].to_pylist()

        return one

    def bytes(self):
        return size_on_disk(self.folder)


class Milvus:
    family = "milvus-lite IVF_SQ8"
    has_threads = True

    def __init__(self, rows, folder):
        from pymilvus import DataType, MilvusClient

        self.folder = folder
        self.lists = cells(rows)
        self.client = MilvusClient(f"{folder}/faces.db")
        schema = self.client.create_schema(auto_id=False)
        schema.add_field("id", DataType.INT64, is_primary=True)
        schema.add_field("face", DataType.FLOAT_VECTOR, dim=rows.shape[1])
        self.client.create_collection("faces", schema=schema)
        for start in range(0, len(rows), 1_000):
            block = rows[start : start + 1_000]
            self.client.insert("faces", [{"id": start + at, "face": row} for at, row in enumerate(block.tolist())])
        self.client.flush("faces")
        index = self.client.prepare_index_params()
        index.add_index("face", index_type="IVF_SQ8", metric_type="IP", params={"nlist": self.lists})
        self.client.create_index("faces", index)
        self.client.load_collection("faces")

    def modes(self):
        for lists in probed(self.lists, every=False):
            yield f"{lists} of {self.lists} lists", self.search(lists)

    def search(self, lists):
        parameters = {"metric_type": "IP", "params": {"nprobe": lists}}

        def one(probe):
            found = self.client.search("faces", data=[probe.tolist()], limit=K, search_params=parameters)
            return [hit["id"] for hit in found[0]]

        return one

    def bytes(self):
        return size_on_disk(self.folder)


PEERS = {
    "flat": Flat, "sq8": SQ8, "ivf": InvertedLists, "rabitq": RaBitQ, "usearch": Usearch, "scann": ScaNN,
    "qdrant": QdrantEdge, "lancedb": Lance, "milvus": Milvus,
}
