import NIOCore
import SwiftProtobuf

/// A message of Protos/ that a request's frame carries.
protocol WireRequest: Message, Sendable {}
/// A message of Protos/ that a response's frame carries.
protocol WireAnswer: Message, Sendable {}

extension WireOpenRequest: WireRequest {}
extension WireDropRequest: WireRequest {}
extension WireEnrolRequest: WireRequest {}
extension WireDeleteRequest: WireRequest {}
extension WireSearchRequest: WireRequest {}
extension WireBucketsRequest: WireRequest {}
extension WireSampleRequest: WireRequest {}
extension WireFacesRequest: WireRequest {}
extension WireVectorRequest: WireRequest {}
extension WireListRequest: WireRequest {}
extension WireStatisticsRequest: WireRequest {}
extension WireNodeStatisticsRequest: WireRequest {}
extension WireAppendRequest: WireRequest {}
extension WireRecordRequest: WireRequest {}
extension WireLedgerStatusRequest: WireRequest {}
extension WireStandingRequest: WireRequest {}
extension WirePostRequest: WireRequest {}
extension WireReportRequest: WireRequest {}
extension WireCopyRequest: WireRequest {}
extension WireChunkRequest: WireRequest {}
extension WireRowsRequest: WireRequest {}
extension WireRetireRequest: WireRequest {}
extension WireSplitRequest: WireRequest {}
extension WireHeldCopiesRequest: WireRequest {}

extension WireOpenAnswer: WireAnswer {}
extension WireDropAnswer: WireAnswer {}
extension WireEnrolAnswer: WireAnswer {}
extension WireDeleteAnswer: WireAnswer {}
extension WireSearchAnswer: WireAnswer {}
extension WireBucketsAnswer: WireAnswer {}
extension WireSampleAnswer: WireAnswer {}
extension WireFacesAnswer: WireAnswer {}
extension WireVectorAnswer: WireAnswer {}
extension WireListAnswer: WireAnswer {}
extension WireStatisticsAnswer: WireAnswer {}
extension WireNodeStatisticsAnswer: WireAnswer {}
extension WireAppendAnswer: WireAnswer {}
extension WireRecordAnswer: WireAnswer {}
extension WireLedgerStatusAnswer: WireAnswer {}
extension WireStandingAnswer: WireAnswer {}
extension WirePostAnswer: WireAnswer {}
extension WireReportAnswer: WireAnswer {}
extension WireCopyAnswer: WireAnswer {}
extension WireChunkAnswer: WireAnswer {}
extension WireRowsAnswer: WireAnswer {}
extension WireRetireAnswer: WireAnswer {}
extension WireSplitAnswer: WireAnswer {}
extension WireHeldCopiesAnswer: WireAnswer {}
