import SimulatedDisk
import Synchronization

/// The registers of a simulated disk: they are gone with it.
extension LoneRegisters {
    private struct OfDisk {
        weak var disk: SimulatedDisk?
        let registers: LoneRegisters
    }

    private static let byDisk = Mutex<[ObjectIdentifier: OfDisk]>([:])

    static func of(_ disk: SimulatedDisk) -> LoneRegisters {
        byDisk.withLock { all in
            if let held = all[ObjectIdentifier(disk)], held.disk === disk { return held.registers }
            let registers = LoneRegisters()
            all[ObjectIdentifier(disk)] = OfDisk(disk: disk, registers: registers)
            return registers
        }
    }

    /// A disk that is a copy of another begins with registers as that one's are.
    static func take(over disk: SimulatedDisk, by copy: SimulatedDisk) {
        let registers = LoneRegisters(like: of(disk))
        byDisk.withLock { $0[ObjectIdentifier(copy)] = OfDisk(disk: copy, registers: registers) }
    }
}
